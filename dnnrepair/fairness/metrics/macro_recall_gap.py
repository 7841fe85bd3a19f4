"""Macro recall difference."""

from __future__ import annotations

from typing import ClassVar

from dnnrepair.fairness.metric import Gap, metric


@metric
class MacroRecallGap(Gap):
    """The largest difference of the mean recall over classes between groups; 0 is ideal.

    Undefined for a group that lacks a class.
    """

    id: ClassVar[str] = "macro_recall_difference"
    title: ClassVar[str] = "Macro recall difference"
    alias: ClassVar[str] = ""
    rates: ClassVar[tuple[str, ...]] = ("macro_recall",)
