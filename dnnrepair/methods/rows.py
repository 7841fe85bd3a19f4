"""What the last layer sees of the data: one row of features for each answer that is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dnnrepair.data.checks import check_labels
from dnnrepair.errors import DataError, ModelError
from dnnrepair.fixed_batch import at_a_time
from dnnrepair.loss import IGNORED_LABEL
from dnnrepair.methods.heads import entering
from dnnrepair.observation import Task
from dnnrepair.population.scores import class_dim

if TYPE_CHECKING:
    from dnnrepair.data import ArraySamples
    from dnnrepair.methods.heads import Head
    from dnnrepair.probe import Batch
    from dnnrepair.subject import Subject

CLOSE = 1e-2  # share of the largest output by which recomputed ones may differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows of features and what is wanted of each: one per input, or per token of an input.

    Attributes:
        features: ``(m, D)``, the last column 1 if the bias may change.
        base: the unpatched network's logits or values, ``(m, K)``.
        wanted: labels ``(m,)`` int64, or values ``(m, K)``.
        owner: the input that each row belongs to, int64 ``(m,)``.
        inputs: n, how many inputs there are.
    """

    features: Tensor
    base: Tensor
    wanted: Tensor
    owner: Tensor
    inputs: int

    @property
    def labeled(self) -> bool:
        """Whether labels are wanted, not values."""
        return not self.wanted.is_floating_point()

    @property
    def share(self) -> Tensor:
        """What part of its input each row is, ``(m,)``: those of one input add up to 1."""
        counts = torch.bincount(self.owner, minlength=self.inputs)
        return 1 / counts[self.owner].to(self.features.dtype)

    def outputs(self, change: Tensor) -> Tensor:
        """Return the outputs ``(m, ..., K)`` of layers changed by ``(..., K, D)``."""
        step = self.features @ change.reshape(-1, change.shape[-1]).mT
        step = step.view(len(step), *change.shape[:-1])
        middle = (1,) * (step.dim() - 2)
        return self.base.view(len(step), *middle, -1) + step

    def of(self, inputs: Tensor) -> Tensor:
        """Return for each row what its input has, ``(n,)``."""
        return inputs.to(self.owner.device)[self.owner]


def rows_of(subject: Subject, samples: ArraySamples, head: Head) -> Rows:
    """Run the network over the data once and return what its last layer sees.

    Raises:
        DataError: there are no labels, they do not fit, or a feature is NaN or infinite.
        ModelError: the prediction is not what the last layer puts out.
    """
    size = at_a_time(subject.running)
    parts = [_part(subject, head, batch) for batch in samples.batches(size)]
    features, base, wanted, owner = (torch.cat(part) for part in zip(*parts, strict=True))
    if not bool(torch.isfinite(features).all()):
        bad = int(owner[(~torch.isfinite(features)).any(1)][0])
        message = (
            f"{samples.name}: NaN or infinity enters the last layer for input {bad}; "
            "`dnnrepair diagnose` tells where it comes from"
        )
        raise DataError(message)
    return Rows(features=features, base=base, wanted=wanted, owner=owner, inputs=samples.size)


def _part(subject: Subject, head: Head, batch: Batch) -> tuple[Tensor, ...]:
    """Return features, outputs, what is wanted, and the owner of each row of a batch."""
    if batch.targets is None:
        message = "a repair compares predictions with labels, and the data have none"
        raise DataError(message)
    features, logits = entering(subject, batch.inputs, head)
    targets = batch.targets.to(features.device)
    rows = features.reshape(-1, features.shape[-1]).float()
    matrix = head.matrix(subject.tensors)
    width = len(matrix)
    by_class = subject.facts.task is Task.CLASSIFY
    dim = class_dim(tuple(logits.shape), targets) if by_class and width > 1 else -1
    base = logits.movedim(dim, -1).reshape(-1, width).float()
    wanted = targets.reshape(-1) if by_class else targets.reshape(-1, width)
    if not len(rows) == len(base) == len(wanted):
        message = f"labels are {tuple(targets.shape)} where predictions are {tuple(logits.shape)}"
        raise DataError(message)
    weight = matrix[:, : rows.shape[1]].float()
    _check_linear(rows @ weight.mT, base, subject, head)
    owner = batch.start + torch.arange(len(batch), device=rows.device)
    owner = owner.repeat_interleave(len(rows) // len(batch))
    if head.bias is not None:
        rows = torch.cat([rows, torch.ones_like(rows[:, :1])], 1)
    if not by_class:
        return rows, base, wanted.float(), owner
    check_labels(wanted, max(width, 2))
    kept = wanted != IGNORED_LABEL
    return rows[kept], base[kept], wanted[kept], owner[kept]


def _check_linear(products: Tensor, base: Tensor, subject: Subject, head: Head) -> None:
    """Make sure that the outputs are the products plus a constant of each output."""
    rest = base - products
    largest = base.abs().amax().clamp(min=1)
    if bool((rest - rest[:1]).abs().amax() > CLOSE * largest):
        layer = subject.infos[head.weight].layer
        message = (
            f"the prediction is not what {layer} puts out, row by row; "
            "choose a method that changes other layers"
        )
        raise ModelError(message)
