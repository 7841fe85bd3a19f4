"""Mean absolute error difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from dnnrepair.fairness.metric import Gap, metric
from dnnrepair.fairness.rates import share

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]


@metric
class AbsoluteErrorGap(Gap):
    """The largest difference between groups of the mean absolute error; 0 is ideal."""

    id: ClassVar[str] = "mean_absolute_error_difference"
    title: ClassVar[str] = "Mean absolute error difference"
    alias: ClassVar[str] = "mae"
    table: ClassVar[str] = "errors"
    rates: ClassVar[tuple[str, ...]] = ("mean_absolute_error",)

    def coordinates(self, table: Numbers) -> Numbers:
        """Return the mean ``(..., 1, 1, groups)`` from ``(..., groups, 4)``."""
        return share(table[..., 2], table[..., 0])[..., None, None, :]
