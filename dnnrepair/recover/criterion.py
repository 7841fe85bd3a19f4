"""What training minimizes and what validation measures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.errors import DataError
from dnnrepair.loss import LOSSES, by_class, losses
from dnnrepair.outputs import prediction_of
from dnnrepair.recover.recovered import RecoveryError
from dnnrepair.tensors import device_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from dnnrepair.data import ArraySamples
    from dnnrepair.probe import Batch
    from dnnrepair.recover.recipe import Distillation, Objective

_HALF = 0.5  # probability from which the answer of a single output is yes


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """The mean loss of a batch.

    Attributes:
        task: what compares predictions with targets, a scalar from ``(prediction, targets)``.
        name: of the loss, "" if the user supplied it.
        teacher: returns the original network's predictions; None without distillation.
        distillation: how much it counts; None likewise.
    """

    task: Objective
    name: str = ""
    teacher: Callable[..., Tensor] | None = None
    distillation: Distillation | None = None

    @classmethod
    def of(
        cls,
        loss: str | Objective,
        teacher: Callable[..., Tensor] | None,
        distillation: Distillation | None,
    ) -> Criterion:
        """Return the criterion of a loss, by name or as a function.

        Raises:
            RecoveryError: torch is to minimize a loss that dnnrepair does not know.
        """
        if not isinstance(loss, str):
            return cls(task=loss, teacher=teacher, distillation=distillation)
        if loss not in LOSSES:
            message = f"no loss is called {loss!r}; known: {', '.join(LOSSES)}, or give a function"
            raise RecoveryError(message)

        def task(prediction: Tensor, targets: Tensor) -> Tensor:
            return losses(loss, prediction, targets).mean()

        return cls(task=task, name=loss, teacher=teacher, distillation=distillation)

    @property
    def needs_labels(self) -> bool:
        """Whether there is nothing to learn without labels."""
        return self.distillation is None or self.distillation.weight < 1

    def __call__(self, prediction: Tensor, batch: Batch) -> Tensor:
        """Return what training minimizes, a scalar; the batch lies on the prediction's device."""
        prediction = prediction.float() if prediction.dtype.itemsize < 4 else prediction  # noqa: PLR2004 - bytes
        found = prediction.new_zeros(())
        if self.needs_labels:
            assert batch.targets is not None  # checked before  # noqa: S101
            found = self.task(prediction, batch.targets)
        if self.distillation is None or self.teacher is None:
            return found
        with torch.no_grad():
            taught = prediction_of(self.teacher(*batch.inputs))
        weight = self.distillation.weight
        return (1 - weight) * found + weight * self._distance(prediction, taught, batch)

    def _distance(self, prediction: Tensor, taught: Tensor, batch: Batch) -> Tensor:
        """Return how far the answers are from the teacher's."""
        assert self.distillation is not None  # asked before  # noqa: S101
        by_values = self.name in ("mse", "l1", "smooth_l1", "bce") or prediction.shape[-1] == 1
        floats = batch.targets is not None and batch.targets.is_floating_point()
        if by_values or floats:
            return F.mse_loss(prediction, taught.to(prediction.dtype))
        t = self.distillation.temperature
        student = F.log_softmax(prediction / t, -1).flatten(0, -2)
        teacher = F.log_softmax(taught.to(prediction.dtype) / t, -1).flatten(0, -2)
        return t**2 * F.kl_div(student, teacher, log_target=True, reduction="batchmean")


def check_labeled(samples: ArraySamples, criterion: Criterion) -> None:
    """Make sure that there are labels where the criterion needs them.

    Raises:
        DataError: there are none.
    """
    if criterion.needs_labels and not samples.labeled:
        message = (
            f"{samples.name} has no labels, and training compares answers with labels; "
            "give labels, or distill from the original network with a weight of 1"
        )
        raise DataError(message)


def on(batch: Batch, device: torch.device) -> Batch:
    """Return a batch on a device."""
    targets = None if batch.targets is None else batch.targets.to(device)
    return replace(batch, inputs=tuple(x.to(device) for x in batch.inputs), targets=targets)


@torch.no_grad()
def measured(
    module: nn.Module, samples: ArraySamples, criterion: Criterion, batch_size: int
) -> tuple[float, float]:
    """Return mean loss and accuracy of a network in evaluation mode, which it is left in.

    The accuracy is that of classes, in [0, 1]; NaN where values are predicted, or without labels.
    """
    module.eval()
    device = device_of(module.parameters())
    total, right, rows, count = 0.0, 0, 0, 0
    for batch in samples.batches(batch_size):
        moved = on(batch, device)
        prediction = prediction_of(module(*moved.inputs))
        total += float(criterion(prediction, moved)) * len(batch)
        count += len(batch)
        found = _right(prediction, moved.targets, criterion.name)
        if found is not None:
            right, rows = right + int(found.sum()), rows + found.numel()
    return total / count, right / rows if rows else float("nan")


def _right(prediction: Tensor, targets: Tensor | None, loss: str) -> Tensor | None:
    """Return which classes are answered rightly, one-dimensional; None if values are predicted."""
    if targets is None or targets.is_floating_point():
        return None
    if prediction.dim() > 1 and prediction.shape[-1] > 1:
        scores, labels = by_class(prediction, targets)
        return (scores.argmax(-1) == labels) & scores.isfinite().all(-1)
    flat = prediction.reshape(-1)
    return (flat > (_HALF if loss == "bce" else 0)).long() == targets.reshape(-1)
