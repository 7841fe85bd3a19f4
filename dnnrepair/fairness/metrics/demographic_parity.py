"""Demographic parity difference."""

from __future__ import annotations

from typing import ClassVar

from dnnrepair.fairness.metric import Gap, metric


@metric
class DemographicParity(Gap):
    """The largest difference of P(prediction is positive | group) between groups; 0 is ideal.

    It ignores the labels: where base rates differ, even a perfect classifier has a gap.
    Dwork et al., "Fairness through awareness" (2012); called statistical parity there.
    """

    id: ClassVar[str] = "demographic_parity_difference"
    title: ClassVar[str] = "Demographic parity difference"
    alias: ClassVar[str] = "dp"
    rates: ClassVar[tuple[str, ...]] = ("selection_rate",)
    limit: ClassVar[float | None] = 0.10
