"""A whole repair as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.formats.course import document
from dnnrepair.formats.repair_markdown import written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dnnrepair.repair_report import RepairReport


def render(report: RepairReport, explanations: Mapping[str, str]) -> str:  # noqa: ARG001
    """Return the report as GitHub-flavored Markdown."""
    return written(document(report), goal_first=report.accepted)
