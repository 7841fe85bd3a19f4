"""False negative rate difference."""

from __future__ import annotations

from typing import ClassVar

from dnnrepair.fairness.metric import Gap, metric


@metric
class FalseNegatives(Gap):
    """The largest difference of P(prediction is negative | label is positive, group).

    0 is ideal; a part of equalized odds.
    """

    id: ClassVar[str] = "false_negative_rate_difference"
    title: ClassVar[str] = "False negative rate difference"
    alias: ClassVar[str] = "fnr"
    rates: ClassVar[tuple[str, ...]] = ("fnr",)
