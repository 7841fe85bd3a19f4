"""A whole repair as one HTML file: no network, no script."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.formats.course import document
from dnnrepair.formats.pages import page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dnnrepair.repair_report import RepairReport


def render(report: RepairReport, explanations: Mapping[str, str]) -> str:  # noqa: ARG001
    """Return the report as a page that stands alone."""
    shown = page("repair.html").render(
        said=document(report),
        report=report,
        plot="",
        seen="",
        kind="repair",
        goal_first=report.accepted,
    )
    return shown + "\n"
