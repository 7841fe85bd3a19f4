"""An audit as one HTML file: no network, no script, readable on paper and in the dark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from dnnrepair.formats.fairness import document
from dnnrepair.formats.pages import page
from dnnrepair.formats.whiskers import in_words, plot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dnnrepair.fairness_report import FairnessReport


def render(report: FairnessReport, explanations: Mapping[str, str]) -> str:  # noqa: ARG001
    """Return the report as a page that stands alone."""
    plots = {}
    for one in report.inputs.sensitive:
        groups = [group for group in report.before[0].groups if group.attribute == one.name]
        drawn = plot(groups, one.name)
        if drawn:
            title = f"Groups by {one.name}"
            plots[title] = (Markup(drawn), in_words(groups, one.name))  # noqa: S704 - escaped
    said = document(report)
    return page("fairness.html").render(said=said, report=report, plots=plots) + "\n"
