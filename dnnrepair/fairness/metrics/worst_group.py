"""Worst group accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dnnrepair.fairness.metric import Gap, metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]


@metric
class WorstGroup(Gap):
    """The smallest P(prediction is right | group) of all groups; 1 is ideal.

    It cannot be improved by making the better groups worse.
    """

    id: ClassVar[str] = "worst_group_accuracy"
    title: ClassVar[str] = "Worst group accuracy"
    alias: ClassVar[str] = "worst"
    rates: ClassVar[tuple[str, ...]] = ("accuracy",)
    level: ClassVar[bool] = True

    def size(self, coordinates: Numbers, *, mean: bool = False) -> Numbers:  # noqa: ARG002
        """Return the smallest accuracy of the groups that have one, NaN without any."""
        found = np.where(np.isnan(coordinates), np.inf, coordinates).min(axis=(-3, -2, -1))
        return np.where(np.isinf(found), np.nan, found)

    def reach(self, errors: Numbers, *, mean: bool = False) -> Numbers:  # noqa: ARG002
        """Return the largest error: a minimum moves no further than one of its arguments."""
        return np.asarray(np.nan_to_num(np.abs(errors)).max(axis=(-3, -2, -1)))
