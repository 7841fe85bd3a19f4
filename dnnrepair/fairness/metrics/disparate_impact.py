"""Disparate impact (ratio of selection rates)."""

from __future__ import annotations

from typing import ClassVar

from dnnrepair.fairness.metric import Gap, metric


@metric
class DisparateImpact(Gap):
    """The smallest over the largest P(prediction is positive | group); 1 is ideal.

    The "four-fifths rule" of the Uniform Guidelines on Employee Selection Procedures (1978) asks
    for 0.8. Undefined where no group has a positive prediction.
    """

    id: ClassVar[str] = "demographic_parity_ratio"
    title: ClassVar[str] = "Disparate impact (ratio of selection rates)"
    alias: ClassVar[str] = "di"
    rates: ClassVar[tuple[str, ...]] = ("selection_rate",)
    ratio: ClassVar[bool] = True
    limit: ClassVar[float | None] = 0.80
