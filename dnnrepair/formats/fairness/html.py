"""A fairness report as one HTML file: no network, no script, readable on paper and in the dark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from dnnrepair.formats.fairness.document import document
from dnnrepair.formats.fairness.pictures import pictures
from dnnrepair.formats.pages import page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dnnrepair.fairness_report import FairnessReport
    from dnnrepair.formats.fairness.pictures import Picture


def render(report: FairnessReport, explanations: Mapping[str, str]) -> str:  # noqa: ARG001
    """Return the report as a page that stands alone."""
    drawn: dict[str, list[tuple[Picture, Markup]]] = {}
    for one in pictures(report):
        drawn.setdefault(one.section, []).append((one, Markup(one.svg)))  # noqa: S704 - escaped
    said = document(report)
    return page("fairness.html").render(said=said, report=report, pictures=drawn) + "\n"
