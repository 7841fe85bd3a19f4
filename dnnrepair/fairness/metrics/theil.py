"""Theil index."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dnnrepair.fairness.metric import TWO_CLASSES, Gap, metric
from dnnrepair.fairness.rates import share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]


@metric
class TheilIndex(Gap):
    """Inequality of the benefit that single people get from the predictions; 0 is ideal.

    The benefit is b = prediction - label + 1: 0 for a missed positive, 1 for a right prediction, 2
    for a false alarm, and the index is the mean of (b / m) ln (b / m), where m is the mean benefit
    and 0 ln 0 = 0. Only two classes have it, and it knows no groups. Speicher et al., "A unified
    approach to quantifying algorithmic unfairness" (2018), equation (2) with alpha = 1.
    """

    id: ClassVar[str] = "theil_index"
    title: ClassVar[str] = "Theil index (over all rows)"
    alias: ClassVar[str] = "theil"
    rates: ClassVar[tuple[str, ...]] = ()
    level: ClassVar[bool] = True

    def coordinates(self, table: Numbers) -> Numbers:
        """Return the index ``(..., 1, 1, 1)``, NaN for more than two classes."""
        if table.shape[-1] != TWO_CLASSES:
            return np.full((*table.shape[:-3], 1, 1, 1), np.nan)
        cells = table.sum(axis=-3)
        right = cells[..., 0, 0] + cells[..., 1, 1]
        alarms, total = cells[..., 0, 1], cells.sum(axis=(-2, -1))
        mean = share(right + 2 * alarms, total)
        with np.errstate(divide="ignore", invalid="ignore"):  # a mean of 0 gives NaN
            sums = right * np.log(1 / mean) + np.where(
                alarms > 0, 2 * alarms * np.log(2 / mean), 0.0
            )
            found = sums / (mean * total)
        return np.asarray(found)[..., None, None, None]

    def size(self, coordinates: Numbers, *, mean: bool = False) -> Numbers:  # noqa: ARG002
        """Return the index."""
        return coordinates[..., 0, 0, 0]

    def reach(self, errors: Numbers, *, mean: bool = False) -> Numbers:  # noqa: ARG002
        """Return the error."""
        return np.abs(errors[..., 0, 0, 0])
