"""Prediction distribution difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dnnrepair.fairness.metric import Gap, metric
from dnnrepair.fairness.rates import share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]


@metric
class DistributionGap(Gap):
    """The largest Kolmogorov-Smirnov distance between the predictions of two groups; 0 is ideal.

    It is the largest difference, at any threshold, of the shares of two groups that are predicted
    to lie above it: demographic parity of every threshold at once. Agarwal, Dudik and Wu, "Fair
    regression: quantitative definitions and reduction-based algorithms" (2019).
    """

    id: ClassVar[str] = "prediction_distribution_difference"
    title: ClassVar[str] = "Prediction distribution difference"
    alias: ClassVar[str] = "ks"
    table: ClassVar[str] = "distribution"
    rates: ClassVar[tuple[str, ...]] = ("share_below",)

    def coordinates(self, table: Numbers) -> Numbers:
        """Return the shares at or below each value, ``(..., 1, values, groups)``.

        Args:
            table: ``(..., groups, values)`` how many predictions have each value, in order.
        """
        total = np.broadcast_to(table.sum(axis=-1, keepdims=True), table.shape)
        below = share(np.cumsum(table, axis=-1), total)
        return np.swapaxes(below, -1, -2)[..., None, :, :]
