"""Equalized odds difference."""

from __future__ import annotations

from typing import ClassVar

from dnnrepair.fairness.metric import Gap, metric


@metric
class EqualizedOdds(Gap):
    """The larger of the gaps in true and in false positive rates; 0 is ideal.

    Hardt, Price and Srebro, "Equality of opportunity in supervised learning" (2016).
    """

    id: ClassVar[str] = "equalized_odds_difference"
    title: ClassVar[str] = "Equalized odds difference"
    alias: ClassVar[str] = "eodds"
    rates: ClassVar[tuple[str, ...]] = ("tpr", "fpr")
    limit: ClassVar[float | None] = 0.10
