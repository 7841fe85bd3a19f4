"""The plots of a fairness report, each with its place, its caption and its words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dnnrepair.formats.fairness import curves, fronts, whiskers
from dnnrepair.formats.fairness.changes import gap_of
from dnnrepair.formats.fairness.choices import COURSE, FRONT, PLANE
from dnnrepair.formats.fairness.groups import scores_title, title
from dnnrepair.formats.fairness.scope import attributes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.fairness_report import FairnessReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A plot.

    Attributes:
        section: title of the section that it belongs to.
        caption: what it is.
        note: how to read it.
        svg: the plot, as an element.
        words: what it shows, for those who cannot see it.
    """

    section: str
    caption: str
    note: str
    svg: str
    words: str


def pictures(report: FairnessReport) -> Iterator[Picture]:
    """Yield the plots that a report has something to show in."""
    for one in (_groups, _scores, _choices):
        yield from (picture for picture in one(report) if picture.svg)


def _groups(report: FairnessReport) -> Iterator[Picture]:
    repaired = bool(report.after)
    note = "dots are what was measured, bars are 95 % intervals; pale groups have too few rows"
    for one in report.inputs.sensitive:
        least = report.min_group if one.parts else 0  # small ones among pairs are not shown
        before = [g for g in report.before[0].groups if g.attribute == one.name and g.n >= least]
        after = [g for g in report.after[0].groups if g.attribute == one.name] if repaired else []
        yield Picture(
            section=title(one.name, repaired=repaired),
            caption="Rates",
            note=f"hollow before, filled after; {note}" if repaired else note,
            svg=whiskers.plot(before, one.name, after),
            words=whiskers.in_words(before, one.name, after),
        )


def _scores(report: FairnessReport) -> Iterator[Picture]:
    measured = (report.after or report.before)[0]
    for one in attributes(report):
        found = [curve for curve in measured.curves if curve.attribute == one.name]
        yield Picture(
            section=scores_title(one.name),
            caption="ROC and calibration" + (", after the repair" if report.after else ""),
            note="with the area under each curve; marks are the threshold that decides",
            svg=curves.plot(found, one.name),
            words=curves.in_words(found, one.name),
        )


def _choices(report: FairnessReport) -> Iterator[Picture]:
    if report.pareto:
        yield Picture(
            section=FRONT,
            caption="Pareto front",
            note="up and to the left is better",
            svg=fronts.front(report),
            words=fronts.front_in_words(report),
        )
    if report.fairea is not None:
        yield Picture(
            section=PLANE,
            caption="Fairea",
            note="green beats overwriting at random; up and to the left is better",
            svg=fronts.plane(report.fairea),
            words=fronts.plane_in_words(report.fairea),
        )
    if report.search is not None and report.search.history:
        before = next((one for one in report.before if one.part == "select"), report.before[0])
        yield Picture(
            section=COURSE,
            caption="Course of the search",
            note="the smallest gap that keeps the limits, on rows that select",
            svg=curves.course(report.search, gap_of(report, before)),
            words=curves.course_in_words(report.search),
        )
