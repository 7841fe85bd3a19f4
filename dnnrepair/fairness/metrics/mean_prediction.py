"""Mean prediction difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from dnnrepair.fairness.metric import Gap, metric
from dnnrepair.fairness.rates import share

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]


@metric
class MeanPredictionGap(Gap):
    """The largest difference between groups of the mean prediction; 0 is ideal.

    It ignores the labels, as demographic parity does.
    """

    id: ClassVar[str] = "mean_prediction_difference"
    title: ClassVar[str] = "Mean prediction difference"
    alias: ClassVar[str] = "level"
    table: ClassVar[str] = "errors"
    rates: ClassVar[tuple[str, ...]] = ("mean_prediction",)

    def coordinates(self, table: Numbers) -> Numbers:
        """Return the mean ``(..., 1, 1, groups)`` from ``(..., groups, 4)``."""
        return share(table[..., 3], table[..., 0])[..., None, None, :]
