"""Accuracy difference."""

from __future__ import annotations

from typing import ClassVar

from dnnrepair.fairness.metric import Gap, metric


@metric
class AccuracyGap(Gap):
    """The largest difference of P(prediction is right | group); 0 is ideal."""

    id: ClassVar[str] = "accuracy_difference"
    title: ClassVar[str] = "Accuracy difference"
    alias: ClassVar[str] = "accgap"
    rates: ClassVar[tuple[str, ...]] = ("accuracy",)
    limit: ClassVar[float | None] = 0.05
