"""A repair or a comparison of repairs, put in order for all formats."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from dnnrepair.formats.document import Column, Document, Row, Section, Table
from dnnrepair.formats.outcomes import cost, figures, headline, sentences, state, weighed
from dnnrepair.formats.shares import percent, points, price
from dnnrepair.formats.words import counted, facts
from dnnrepair.rate import Rate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dnnrepair.patch_report import PatchReport, Point
    from dnnrepair.verdict import ClassChange, Verdict

MOST_CLASSES = 30  # rows; with more classes, those that changed most
_ROLES = {"search": "weights are fitted to it", "selection": "chooses", "held-out": "judges"}
_CLASSES = (
    Column(name="class", number=False),
    Column(name="inputs"),
    Column(name="before", group="right %"),
    Column(name="after", group="right %"),
    Column(name="change", group="right %"),
    Column(name="fixed"),
    Column(name="broken"),
    Column(name="now taken for", number=False),
)
_CHANGES = (("healthy", "better"), ("warning", "worse"), ("unexamined", "as before"))
_WORTH = (("healthy", "acceptable"), ("error", "not acceptable"))
_EFFECTS = ("fixed", "broken", "net")
_PARTS = (
    Column(name="part", number=False),
    Column(name="inputs"),
    Column(name="right"),
    Column(name="to fix"),
    Column(name="to keep"),
    Column(name="what it is for", number=False),
)


def document(report: PatchReport) -> Document:
    """Return what there is to say of a repair, in order."""
    chosen = report.chosen
    return Document(
        title=report.model.name,
        state=state(report),
        headline=headline(report),
        goal=tuple(_goal(report)),
        verdict=tuple(sentences(report)),
        figures=tuple(figures(chosen.held_out)) if chosen else (),
        sections=tuple(_sections(report)),
    )


def _goal(report: PatchReport) -> Iterator[tuple[str, str]]:
    model = report.model
    held_out = next((part for part in report.parts if part.name == "held-out"), None)
    judging = f", {held_out.targets:,} of them held out to judge" if held_out else ""
    count = sum(part.targets for part in report.parts)
    known = f": {counted(count, 'input')}{judging}" if report.parts else ""
    yield "Network", f"{model.name} on {model.data}" if model.data else model.name
    yield "To fix", f"{report.goal}{known}"
    yield "To keep", _kept(report)
    if len(report.methods) > 1:
        yield "Methods", ", ".join(report.methods)


def _kept(report: PatchReport) -> str:
    kept = "all that is right" if report.protect in ("", "all") else report.protect
    if report.max_broken is None:
        return f"{kept}; no limit on what may break"
    return f"{kept}; at most {100 * report.max_broken:g} % of what is right may break"


def _sections(report: PatchReport) -> Iterator[Section]:
    chosen = report.chosen
    if chosen is not None and chosen.held_out.classes:
        yield _class_section(chosen.held_out.classes)
    if report.points:
        yield _tradeoff(report)
    if chosen is not None and weighed(chosen.held_out):
        yield _cost_section(chosen)
    if report.parts:
        yield _split(report)
    if report.skipped:
        yield Section(title="Methods that could not work here", items=report.skipped)
    notes = tuple(dict.fromkeys((*report.model.notes, *report.notes)))
    if notes:
        yield Section(title="Notes", items=notes)
    yield _run(report)


def _class_section(classes: Sequence[ClassChange]) -> Section:
    """Return what happened in each class, or in those that changed most."""
    shown = sorted(classes, key=lambda one: (-one.fixed - one.broken, one.label))[:MOST_CLASSES]
    left = len(classes) - len(shown)
    return Section(
        title="Classes",
        lead="On the held-out part: how many of each class are right, and what the broken ones "
        "are mostly taken for now.",
        table=Table(
            columns=_CLASSES,
            legend=_CHANGES,
            rows=tuple(map(_class_row, sorted(shown, key=lambda one: one.label))),
        ),
        items=(f"and {left:,} more that changed less",) if left else (),
    )


def _class_row(one: ClassChange) -> Row:
    before, after = Rate(one.before, one.total), Rate(one.after, one.total)
    worse = one.after < one.before
    cells = (
        str(one.label),
        f"{one.total:,}",
        percent(before.value),
        percent(after.value),
        points(after.value - before.value),
        f"{one.fixed:,}",
        f"{one.broken:,}",
        "" if one.lost_to is None else f"class {one.lost_to}",
    )
    changed = "warning" if worse else "healthy" if one.after > one.before else "unexamined"
    return Row(cells=cells, state=changed)


def _tradeoff(report: PatchReport) -> Section:
    costly = any(weighed(point.held_out) for point in report.points)
    effects = (*_EFFECTS, "cost") if costly else _EFFECTS
    columns = (
        Column(name="change", number=False),
        Column(name="numbers"),
        *(Column(name=name, group=part) for part in ("selection", "held-out") for name in effects),
    )
    rows = tuple(_point_row(point, costly=costly) for point in report.points)
    return Section(
        title="Trade-off",
        lead="Every change that was proposed: percent of the targets fixed, percent of what was "
        "right broken, net change of accuracy in points. The selection part chose, the held-out "
        "part did not.",
        table=Table(columns=columns, rows=rows, legend=_WORTH),
        items=tuple(_refusals(report.points)),
        plotted=True,
    )


def _point_row(point: Point, *, costly: bool) -> Row:
    effects = chain(_effects(point.selection, costly), _effects(point.held_out, costly))
    name = f"{point.method}: {point.name}" if point.name else point.method
    return Row(
        cells=(name, f"{point.numbers:,}", *effects),
        state="healthy" if point.accepted else "error",
        chosen=point.chosen,
    )


def _effects(verdict: Verdict, costly: bool) -> Iterator[str]:  # noqa: FBT001 - one call above
    yield percent(verdict.targets.value)
    yield percent(verdict.broken.value)
    yield points(verdict.gain.value)
    if costly:
        yield price(verdict.cost_after)


def _refusals(found: Sequence[Point]) -> Iterator[str]:
    """Yield why changes were not acceptable, the most frequent reason first."""
    refused = [point.reason or "no reason was given" for point in found if not point.accepted]
    for reason in sorted(set(refused), key=lambda one: (-refused.count(one), one)):
        yield f"not acceptable, {counted(refused.count(reason), 'change')}: {reason}"


def _cost_section(chosen: Point) -> Section:
    items = (
        f"held-out part: {cost(chosen.held_out)}",
        f"selection part: {cost(chosen.selection)}",
    )
    lead = "What the wrong answers cost, summed, before and after; errors were weighed by risk."
    return Section(title="Cost of errors", lead=lead, items=items)


def _split(report: PatchReport) -> Section:
    rows = (
        Row(
            cells=(
                part.name,
                f"{part.samples:,}",
                f"{part.right:,}",
                f"{part.targets:,}",
                f"{part.protected:,}",
                _ROLES.get(part.name, ""),
            )
        )
        for part in report.parts
    )
    lead = "What each part of the data was for; “right” is what the untouched network gets right."
    return Section(title="Split", lead=lead, table=Table(columns=_PARTS, rows=tuple(rows)))


def _run(report: PatchReport) -> Section:
    known = [f"{name}: {value}" for name, value in facts(report) if name in ("Form", "Digest")]
    settings = (f"setting {setting}" for setting in report.settings)
    times = [f"{stage.name} {stage.seconds:,.2f} s" for stage in report.stages]
    total = sum(stage.seconds for stage in report.stages)
    timed = (f"time: {', '.join(times)}; {total:,.2f} s in all",) if times else ()
    return Section(title="Run", items=(*known, *settings, f"seed {report.seed}", *timed))
