"""What the network answers, against what is right."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dnnrepair.evidence.moments import Moments

    Floats = NDArray[np.float64]

CALIBRATION_BINS = 15  # of equal width, as in Guo et al. 2017, arXiv:1706.04599
TOP_EDGES: Floats = 1 - np.geomspace(1, 1e-9, 181)  # finer towards 1: 20 bins per decade of 1 - p
MOST_CLASSES = 256  # with more, no confusion matrix is kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """Predictions over all data; a row is a sample, or a token that counts; they add.

    Attributes:
        rows: how many predictions.
        labeled: how many of them have a label or target.
        outputs: per-unit statistics of what the network returned, ``(K,)``.
        targets: per-unit statistics of the targets, for regression; None for classes.
        nonnegative: rows without a negative value.
        summing: of those, rows that also sum to 1 within 1e-3: probabilities.
        logarithmic: rows whose exponentials sum to 1 within 1e-3: log-probabilities.
        predicted: predictions per class, ``(K,)``; (2,) for a single logit, (0,) for regression.
        labels: labels per class, ``(K,)``.
        hits: right predictions per class, ``(K,)``.
        confusion: label by prediction ``(K, K)``; (0, 0) for more than 256 classes.
        bin_count, bin_confidence, bin_hits: per bin of the top probability ``(15,)``: labeled
            rows, sum of the top probability, right predictions.
        top_counts: rows per bin of the top probability between ``TOP_EDGES``, ``(180,)``.
        entropy_sum: of the predicted distributions, in nats.
        loss_sum: of the loss over ``loss_count`` rows (for regression: numbers).
        square_error: sum of squared errors, for regression.
    """

    rows: int
    labeled: int
    outputs: Moments
    targets: Moments | None
    nonnegative: int
    summing: int
    logarithmic: int
    predicted: Floats
    labels: Floats
    hits: Floats
    confusion: Floats
    bin_count: Floats
    bin_confidence: Floats
    bin_hits: Floats
    top_counts: Floats
    entropy_sum: float
    loss_sum: float
    loss_count: int
    square_error: float

    def __add__(self, other: Predictions) -> Predictions:
        """Return the statistics of both together."""
        names = [field.name for field in fields(self)]
        both = {name: (getattr(self, name), getattr(other, name)) for name in names}
        return Predictions(
            **{n: a if b is None else b if a is None else a + b for n, (a, b) in both.items()}
        )

    @property
    def accuracy(self) -> float:
        """Share of right predictions, in [0, 1]; NaN without labels."""
        return _share(float(self.hits.sum()), float(self.labels.sum()))

    @property
    def mean_loss(self) -> float:
        """Mean loss; NaN without labels."""
        return _share(self.loss_sum, self.loss_count)

    @property
    def confidence(self) -> float:
        """Mean top probability over labeled rows; NaN without labels."""
        return _share(float(self.bin_confidence.sum()), float(self.bin_count.sum()))

    @property
    def ece(self) -> float:
        """Expected calibration error, in [0, 1]: Guo et al. 2017, equation 3."""
        gaps = np.abs(self.bin_hits - self.bin_confidence)
        return _share(float(gaps.sum()), float(self.bin_count.sum()))

    @property
    def entropy(self) -> float:
        """Mean entropy of the predicted distributions, in nats."""
        return _share(self.entropy_sum, float(self.predicted.sum()))

    @property
    def majority_share(self) -> float:
        """Share of the most frequent label: what guessing it scores; NaN without labels."""
        return _share(float(self.labels.max(initial=0)), float(self.labels.sum()))

    @property
    def top_share(self) -> float:
        """Share of the class predicted most often; NaN for regression."""
        return _share(float(self.predicted.max(initial=0)), float(self.predicted.sum()))

    @property
    def p10_top(self) -> float:
        """Lower bound of the 10th percentile of the top probability; NaN for regression."""
        total = float(self.top_counts.sum())
        if not total:
            return float("nan")
        place = int(np.searchsorted(np.cumsum(self.top_counts), 0.1 * total))
        return float(TOP_EDGES[place])

    @property
    def r_squared(self) -> float:
        """Coefficient of determination of a regression; NaN without targets that vary."""
        spread = float(self.targets.m2.sum()) if self.targets else 0.0
        return 1 - self.square_error / spread if spread > 0 else float("nan")


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
