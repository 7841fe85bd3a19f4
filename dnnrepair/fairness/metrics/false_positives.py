"""False positive rate difference."""

from __future__ import annotations

from typing import ClassVar

from dnnrepair.fairness.metric import Gap, metric


@metric
class FalsePositives(Gap):
    """The largest difference of P(prediction is positive | label is negative, group).

    0 is ideal; a part of equalized odds.
    """

    id: ClassVar[str] = "false_positive_rate_difference"
    title: ClassVar[str] = "False positive rate difference"
    alias: ClassVar[str] = "fpr"
    rates: ClassVar[tuple[str, ...]] = ("fpr",)
