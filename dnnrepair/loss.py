"""The losses by name: what training minimized, given with ``--loss`` or guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional as F

from dnnrepair.errors import DataError, UnknownNameError
from dnnrepair.observation import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from dnnrepair.probe import Batch

LOSSES = ("cross_entropy", "nll", "bce", "bce_logits", "mse", "l1", "smooth_l1")
IGNORED_LABEL = -100  # torch's default ignore_index


def loss_named(name: str) -> Callable[[Tensor, Batch], Tensor]:
    """Return the mean loss of a prediction against a batch's targets, a scalar tensor.

    Raises:
        UnknownNameError: if there is no such loss.
    """
    if name not in LOSSES:
        message = f"no loss is called {name!r}; known: {', '.join(LOSSES)}"
        raise UnknownNameError(message)

    def mean_loss(prediction: Tensor, batch: Batch) -> Tensor:
        if batch.targets is None:
            message = "the loss needs labels"
            raise DataError(message)
        return losses(name, prediction, batch.targets).mean()

    return mean_loss


def losses(name: str, prediction: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of each sample (each token, each output), one-dimensional.

    Args:
        name: one of ``LOSSES``.
        prediction: ``(N, K)``, ``(N, T, K)``, or for two classes and regression ``(N, D)``.
        targets: labels ``(N,)`` or ``(N, T)`` (-100 is ignored), or values shaped as predicted.
    """
    if name in ("cross_entropy", "nll"):
        scores, labels = by_class(prediction, targets)
        function = F.cross_entropy if name == "cross_entropy" else F.nll_loss
        return function(scores, labels, reduction="none")
    if targets.numel() * prediction.shape[-1] == prediction.numel() != targets.numel():
        targets = F.one_hot(targets.long().clamp(min=0), prediction.shape[-1])  # labels, not values
    wanted = targets.reshape(prediction.shape).to(prediction.dtype)
    by_name: Mapping[str, Callable[..., Tensor]] = {
        "bce": _bce,
        "bce_logits": F.binary_cross_entropy_with_logits,
        "mse": F.mse_loss,
        "l1": F.l1_loss,
        "smooth_l1": F.smooth_l1_loss,
    }
    return by_name[name](prediction, wanted, reduction="none").reshape(-1)


def by_class(prediction: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``(rows, K)`` scores and ``(rows,)`` labels; ignored tokens are left out.

    Classes are the last dimension, or dimension 1 where the targets have the others (segmentation).
    """
    if prediction.dim() > 2 and targets.shape == prediction.shape[:1] + prediction.shape[2:]:  # noqa: PLR2004
        prediction = prediction.movedim(1, -1)
    scores = prediction.reshape(-1, prediction.shape[-1])
    labels = targets.reshape(-1).long()
    kept = labels != IGNORED_LABEL
    return (scores, labels) if bool(kept.all()) else (scores[kept], labels[kept])


def guess_loss(task: Task, output_op: str, width: int) -> str:
    """Return the loss that training most likely minimized.

    Args:
        task: what the network is for.
        output_op: the last operation before the prediction.
        width: of the prediction.
    """
    if task is not Task.CLASSIFY:
        return "mse"
    if width <= 1:
        return "bce" if output_op == "sigmoid" else "bce_logits"
    return "nll" if output_op == "log_softmax" else "cross_entropy"


def _bce(prediction: Tensor, wanted: Tensor, *, reduction: str) -> Tensor:
    """Binary cross entropy that does not raise where a network leaves [0, 1]."""
    return F.binary_cross_entropy(prediction.clamp(0, 1), wanted, reduction=reduction)
