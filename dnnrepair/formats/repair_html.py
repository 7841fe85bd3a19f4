"""A repair as one HTML file: no network, no script, readable on paper and in the dark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from dnnrepair.formats.pages import page
from dnnrepair.formats.repair import document
from dnnrepair.formats.tradeoff import in_words, plot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dnnrepair.patch_report import PatchReport


def render(report: PatchReport, explanations: Mapping[str, str]) -> str:  # noqa: ARG001
    """Return the report as a page that stands alone."""
    said = document(report)
    drawn = Markup(plot(report))  # noqa: S704 - matplotlib escapes the names of the methods
    kind = "comparison of repairs" if len(report.methods) > 1 else "repair"
    shown = page("repair.html").render(
        said=said,
        report=report,
        plot=drawn,
        seen=in_words(report),
        kind=kind,
        goal_first=report.accepted,
    )
    return shown + "\n"
