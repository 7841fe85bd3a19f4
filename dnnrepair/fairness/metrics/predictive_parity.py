"""Predictive parity difference."""

from __future__ import annotations

from typing import ClassVar

from dnnrepair.fairness.metric import Gap, metric


@metric
class PredictiveParity(Gap):
    """The largest difference of P(label is positive | prediction is positive, group); 0 is ideal.

    Undefined for a group without positive predictions. Chouldechova, "Fair prediction with
    disparate impact" (2017).
    """

    id: ClassVar[str] = "predictive_parity_difference"
    title: ClassVar[str] = "Predictive parity difference"
    alias: ClassVar[str] = "ppv"
    rates: ClassVar[tuple[str, ...]] = ("ppv",)
