"""Average absolute odds difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dnnrepair.fairness.metric import Gap, metric

if TYPE_CHECKING:
    from collections.abc import Callable


@metric
class AverageOdds(Gap):
    """The mean of the gaps in true and in false positive rates; 0 is ideal.

    Absolute, so that gaps of opposite signs do not cancel as in a signed average.
    """

    id: ClassVar[str] = "average_absolute_odds_difference"
    title: ClassVar[str] = "Average absolute odds difference"
    alias: ClassVar[str] = "aaod"
    rates: ClassVar[tuple[str, ...]] = ("tpr", "fpr")
    across: ClassVar[Callable[..., Any]] = np.mean
