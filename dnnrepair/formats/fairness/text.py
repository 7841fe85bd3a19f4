"""A fairness report for a terminal: the verdict, then the numbers behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.formats.fairness.document import document
from dnnrepair.formats.repair_text import laid_out, roomy
from dnnrepair.formats.terminal import drawn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dnnrepair.fairness_report import FairnessReport


def render(
    report: FairnessReport,
    explanations: Mapping[str, str],  # noqa: ARG001
    *,
    width: int = 80,
    color: bool = False,
    ascii_only: bool = False,
) -> str:
    """Return the report in ``width`` columns."""
    title = f"{report.tool.version} {report.command}"
    parts = laid_out(document(report), title, goal_first=False, roomy=roomy(width))
    return drawn(parts, width=width, color=color, ascii_only=ascii_only)
