"""A whole repair for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.formats.course import document
from dnnrepair.formats.repair_text import laid_out, roomy
from dnnrepair.formats.terminal import drawn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dnnrepair.repair_report import RepairReport


def render(
    report: RepairReport,
    explanations: Mapping[str, str],  # noqa: ARG001
    *,
    width: int = 80,
    color: bool = False,
    ascii_only: bool = False,
) -> str:
    """Return the report in ``width`` columns."""
    said = document(report)
    parts = laid_out(said, report.tool_version, goal_first=report.accepted, roomy=roomy(width))
    return drawn(parts, width=width, color=color, ascii_only=ascii_only)
