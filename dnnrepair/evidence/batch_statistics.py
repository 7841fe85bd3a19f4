"""What batch norms would compute from the data, against which running statistics are held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dnnrepair.evidence.moments import pooled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStatistics:
    """Per-channel statistics of a batch norm's input in inference mode; they add.

    Attributes:
        count: rows seen (samples times positions).
        mean: ``(channels,)``.
        m2: sum of squared differences from the mean, ``(channels,)``.
        batches: of at most 128 samples each.
        variance_sum: of the variance within a batch, over the batches, ``(channels,)``.
        variance_square_sum: of its square, ``(channels,)``.
    """

    count: int
    mean: Floats
    m2: Floats
    batches: int
    variance_sum: Floats
    variance_square_sum: Floats

    def __add__(self, other: BatchStatistics) -> BatchStatistics:
        """Return the statistics of both together."""
        mean, m2 = pooled(self, other)
        return BatchStatistics(
            count=self.count + other.count,
            mean=mean,
            m2=m2,
            batches=self.batches + other.batches,
            variance_sum=self.variance_sum + other.variance_sum,
            variance_square_sum=self.variance_square_sum + other.variance_square_sum,
        )

    @property
    def variance(self) -> Floats:
        """Population variance, ``(channels,)``."""
        return self.m2 / max(self.count, 1)

    @property
    def unrest(self) -> float:
        """Median over channels of std over mean of the variance within a batch."""
        mean = self.variance_sum / max(self.batches, 1)
        spread = np.sqrt(np.maximum(self.variance_square_sum / max(self.batches, 1) - mean**2, 0))
        live = mean > 0
        return float(np.median(spread[live] / mean[live])) if live.any() else 0.0
