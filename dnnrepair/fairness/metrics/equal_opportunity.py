"""Equal opportunity difference."""

from __future__ import annotations

from typing import ClassVar

from dnnrepair.fairness.metric import Gap, metric


@metric
class EqualOpportunity(Gap):
    """The largest difference of P(prediction is positive | label is positive, group); 0 is ideal.

    Hardt, Price and Srebro, "Equality of opportunity in supervised learning" (2016).
    """

    id: ClassVar[str] = "equal_opportunity_difference"
    title: ClassVar[str] = "Equal opportunity difference"
    alias: ClassVar[str] = "eopp"
    rates: ClassVar[tuple[str, ...]] = ("tpr",)
    limit: ClassVar[float | None] = 0.10
