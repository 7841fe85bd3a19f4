"""Calibration difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dnnrepair.fairness.metric import Gap, metric
from dnnrepair.fairness.rates import share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]


@metric
class CalibrationGap(Gap):
    """The largest difference between groups of their expected calibration errors; 0 is ideal.

    The error of a group is the mean, over its rows, of how far the mean score of a row's bin is
    from the share of positives in it; ten bins of equal width. Naeini, Cooper and Hauskrecht,
    "Obtaining well calibrated probabilities using Bayesian binning" (2015).
    """

    id: ClassVar[str] = "calibration_error_difference"
    title: ClassVar[str] = "Calibration error difference"
    alias: ClassVar[str] = "ece"
    table: ClassVar[str] = "calibration"
    rates: ClassVar[tuple[str, ...]] = ("calibration_error",)

    def coordinates(self, table: Numbers) -> Numbers:
        """Return the error of each group ``(..., 1, 1, groups)`` from ``(..., groups, bins, 3)``.

        The last axis of the table holds negatives, positives and the sum of the scores.
        """
        count = table[..., 0] + table[..., 1]
        error = np.abs(table[..., 2] - table[..., 1]).sum(axis=-1)
        return share(error, count.sum(axis=-1))[..., None, None, :]
