"""Mean error difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from dnnrepair.fairness.metric import Gap, metric
from dnnrepair.fairness.rates import share

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]


@metric
class MeanErrorGap(Gap):
    """The largest difference between groups of the mean of prediction less label; 0 is ideal.

    It shows who is predicted too much and who too little, in units of the label.
    """

    id: ClassVar[str] = "mean_error_difference"
    title: ClassVar[str] = "Mean error difference"
    alias: ClassVar[str] = "bias"
    table: ClassVar[str] = "errors"
    rates: ClassVar[tuple[str, ...]] = ("mean_error",)

    def coordinates(self, table: Numbers) -> Numbers:
        """Return the mean error ``(..., 1, 1, groups)`` from ``(..., groups, 4)``.

        The last axis holds the number of rows and the sums of errors, their absolute values and
        predictions.
        """
        return share(table[..., 1], table[..., 0])[..., None, None, :]
