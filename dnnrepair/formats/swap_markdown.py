"""Changes of a network's structure as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.formats.repair_markdown import written
from dnnrepair.formats.swaps import document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dnnrepair.swap_report import SwapReport


def render(report: SwapReport, explanations: Mapping[str, str]) -> str:  # noqa: ARG001
    """Return the report as GitHub-flavored Markdown."""
    return written(document(report), goal_first=True)
