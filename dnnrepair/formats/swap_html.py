"""Changes of a network's structure as one HTML file: no network, no script."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.formats.pages import page
from dnnrepair.formats.swaps import document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dnnrepair.swap_report import SwapReport


def render(report: SwapReport, explanations: Mapping[str, str]) -> str:  # noqa: ARG001
    """Return the report as a page that stands alone."""
    shown = page("repair.html").render(
        said=document(report),
        report=report,
        plot="",
        seen="",
        kind="changes",
        goal_first=True,
    )
    return shown + "\n"
