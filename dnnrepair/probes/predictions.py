"""Count predictions against labels while the data streams by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from dnnrepair.evidence.moments import Moments
from dnnrepair.evidence.predictions import (
    CALIBRATION_BINS,
    MOST_CLASSES,
    TOP_EDGES,
    Predictions,
)
from dnnrepair.loss import IGNORED_LABEL, by_class, losses
from dnnrepair.observation import Task
from dnnrepair.probe import probe

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from dnnrepair.observation import Facts
    from dnnrepair.probe import Batch

TOLERANCE = 1e-3  # of a sum of probabilities
_BINARY = ("bce", "bce_logits")


@dataclass(frozen=True, slots=True)
class Rows:
    """Predictions flattened to rows.

    Attributes:
        scores: as the network returned them, ``(rows, K)``.
        labels: ``(rows,)`` classes, or None.
        targets: ``(rows, K)`` values for the loss where labels are not classes, or None.
    """

    scores: Tensor
    labels: Tensor | None = None
    targets: Tensor | None = None


@probe("predictions")
class PredictionsProbe:
    """Confusion, calibration, loss and range of the predictions."""

    yields: ClassVar[type] = Predictions

    def measure_prediction(self, prediction: Tensor, batch: Batch, facts: Facts) -> Predictions:
        """Return the statistics of one batch."""
        prediction = prediction.detach()
        rows = rows_of(prediction.float(), batch, facts)
        scores = rows.scores
        total, count = _loss(rows, facts)
        whole = scores.exp().sum(1)
        nonnegative = (scores >= 0).all(1)
        close = (scores.sum(1) - 1).abs() < TOLERANCE
        wide = scores.shape[1] > 1
        known = rows.labels is not None or rows.targets is not None
        shares = probabilities(scores, facts) if facts.task is Task.CLASSIFY else None
        counts = _no_counts() if shares is None else _counts(shares, rows.labels)
        error = (scores - rows.targets).double().square() if rows.targets is not None else None
        regress = rows.targets is not None and rows.labels is None
        return Predictions(
            rows=len(scores),
            labeled=len(scores) if known else 0,
            outputs=_moments(scores),
            targets=_moments(rows.targets) if regress and rows.targets is not None else None,
            nonnegative=int(nonnegative.sum()),
            summing=int((nonnegative & close).sum()) if wide else 0,
            logarithmic=int(((whole - 1).abs() < TOLERANCE).sum()) if wide else 0,
            loss_sum=total,
            loss_count=count,
            square_error=float(error.sum()) if regress and error is not None else 0.0,
            entropy_sum=0.0 if shares is None else _entropy(shares),
            **counts,
        )


def rows_of(prediction: Tensor, batch: Batch, facts: Facts) -> Rows:
    """Return predictions and labels as rows; ignored and masked tokens are left out."""
    targets = _unmasked(batch, prediction)
    if facts.task is not Task.CLASSIFY:
        return _values(prediction, targets)
    if prediction.dim() <= 1 or prediction.shape[-1] == 1:
        return _binary(prediction.reshape(-1, 1), targets)
    if targets is not None and targets.shape == prediction.shape:  # many labels per sample
        return _binary(prediction.reshape(-1, 1), targets)
    if targets is not None:
        return Rows(*by_class(prediction, targets))
    classes = 1 if prediction.dim() > 3 else -1  # noqa: PLR2004 - (N, K, H, W)
    return Rows(prediction.movedim(classes, -1).reshape(-1, prediction.shape[classes]))


def probabilities(scores: Tensor, facts: Facts) -> Tensor:
    """Return the distribution over classes ``(rows, K)`` that scores ``(rows, K)`` stand for.

    What sums to 1 already, plainly or in the exponent, is not normalized again.
    """
    if scores.shape[1] == 1:
        positive = scores.clamp(0, 1) if facts.loss == "bce" else torch.sigmoid(scores)
        return torch.cat([1 - positive, positive], dim=1)
    sums = scores.sum(1)
    if bool((scores >= 0).all()) and bool(((sums - 1).abs() < TOLERANCE).all()):
        return scores
    if facts.loss in _BINARY:
        share = scores.clamp(0, 1) if facts.loss == "bce" else torch.sigmoid(scores)
        return share / share.sum(1, keepdim=True).clamp(min=1e-30)
    return torch.softmax(scores, dim=1)


def _unmasked(batch: Batch, prediction: Tensor) -> Tensor | None:
    targets, mask = batch.targets, batch.mask
    if targets is None or mask is None or targets.shape != mask.shape:
        return targets
    if targets.is_floating_point() or prediction.dim() <= mask.dim():
        return targets
    return targets.masked_fill(~mask, IGNORED_LABEL)


def _values(prediction: Tensor, targets: Tensor | None) -> Rows:
    width = prediction.shape[-1] if prediction.dim() in (2, 3) else 1
    scores = prediction.reshape(-1, width)
    if targets is None or targets.numel() != prediction.numel():
        return Rows(scores)
    return Rows(scores, targets=targets.reshape(scores.shape).to(scores.dtype))


def _binary(scores: Tensor, targets: Tensor | None) -> Rows:
    if targets is None:
        return Rows(scores)
    labels = targets.reshape(-1)
    kept = labels != IGNORED_LABEL
    values = labels[kept].to(scores.dtype)
    return Rows(scores[kept], labels=(values > 0.5).long(), targets=values.unsqueeze(1))  # noqa: PLR2004


def _loss(rows: Rows, facts: Facts) -> tuple[float, int]:
    """Return the sum of the loss and over how many numbers it was taken."""
    targets = rows.targets if rows.targets is not None else rows.labels
    if targets is None or not len(rows.scores):
        return 0.0, 0
    name = facts.loss
    by_number = name not in ("cross_entropy", "nll")
    if by_number and rows.targets is None:  # one class per row under a loss per output
        targets = torch.nn.functional.one_hot(targets, rows.scores.shape[1])
    elif not by_number and rows.scores.shape[1] == 1:
        name = "bce_logits"
    found = losses(name, rows.scores, targets)
    return float(found.double().sum()), found.numel()


def _entropy(shares: Tensor) -> float:
    """Return the sum of the entropies of distributions ``(rows, K)``, in nats."""
    log = torch.where(shares > 0, shares.log(), torch.zeros_like(shares))
    return float(-(shares * log).double().nansum())


def _counts(shares: Tensor, known: Tensor | None) -> dict[str, NDArray[np.float64]]:
    classes = shares.shape[1]
    top, predicted = shares.max(1)
    labels = known if known is not None else predicted[:0]
    hit = predicted[: len(labels)] == labels
    fine = torch.from_numpy(TOP_EDGES[1:-1]).to(top)
    few = classes <= MOST_CLASSES
    pairs = labels * classes + predicted[: len(labels)] if few else labels[:0]
    size = classes if few else 0
    place = (top[: len(labels)] * CALIBRATION_BINS).ceil().sub(1).clamp(0, CALIBRATION_BINS - 1)
    return {
        "predicted": _histogram(predicted, classes),
        "labels": _histogram(labels, classes),
        "hits": _histogram(labels[hit], classes),
        "confusion": _histogram(pairs, size * size).reshape(size, size),
        "bin_count": _histogram(place, CALIBRATION_BINS),
        "bin_confidence": _histogram(place, CALIBRATION_BINS, top[: len(labels)]),
        "bin_hits": _histogram(place, CALIBRATION_BINS, hit),
        "top_counts": _histogram(torch.bucketize(top, fine, right=True), len(TOP_EDGES) - 1),
    }


def _no_counts() -> dict[str, NDArray[np.float64]]:
    none = np.zeros(0)
    return {
        "predicted": none,
        "labels": none,
        "hits": none,
        "confusion": np.zeros((0, 0)),
        "bin_count": none,
        "bin_confidence": none,
        "bin_hits": none,
        "top_counts": none,
    }


def _histogram(places: Tensor, size: int, weights: Tensor | None = None) -> NDArray[np.float64]:
    flat = places.reshape(-1).nan_to_num(0).long().cpu()
    heavy = None if weights is None else weights.reshape(-1).double().nan_to_num(0).cpu()
    found: NDArray[np.float64] = torch.bincount(flat, heavy, minlength=size).double().numpy()
    return found


def _moments(values: Tensor) -> Moments:
    """Return statistics per unit of ``(rows, K)``; values that are not finite count as 0."""
    wide = values.double()
    finite = torch.isfinite(wide)
    wide = torch.where(finite, wide, torch.zeros_like(wide))
    units = values.shape[1]
    mean = wide.mean(0) if len(wide) else wide.new_zeros(units)
    low = wide.amin(0) if len(wide) else wide.new_full((units,), float("inf"))
    high = wide.amax(0) if len(wide) else wide.new_full((units,), float("-inf"))
    return Moments(
        count=len(wide),
        mean=mean.cpu().numpy(),
        m2=(wide - mean).square().sum(0).cpu().numpy(),
        low=low.cpu().numpy(),
        high=high.cpu().numpy(),
        nonfinite=int((~finite).sum()),
    )
