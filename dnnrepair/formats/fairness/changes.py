"""What a repair changed: the numbers it aimed at, all others, and whose decision."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from dnnrepair.formats.document import Column, Row, Section, Table
from dnnrepair.formats.fairness.numbers import (
    NAMES,
    p_value,
    shown,
    signed,
    signed_span,
)
from dnnrepair.formats.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dnnrepair.fairness_report import Change, FairnessReport, Measurement

_BETTER_HIGH = frozenset(
    {"accuracy", "f1", "balanced_accuracy", "worst_group_accuracy", "demographic_parity_ratio"}
)
_NEUTRAL = frozenset({"selection_rate"})
_MEANINGS = (("healthy", "better"), ("error", "worse"), ("unexamined", "may be chance"))
_PARTS = {"repair": "rows that repair", "select": "rows that select", "test": "rows that judge"}


def headline_changes(report: FairnessReport) -> Iterator[Section]:
    """Yield what the repair aimed at and what that cost, on seen and on unseen rows."""
    aimed = [one for one in report.delta if one.optimized]
    price = [one for one in report.delta if not one.attribute]
    if aimed or price:
        yield Section(
            title="Before and after",
            lead="On rows that judge. Intervals are paired: the same rows, decided before and "
            "after.",
            table=_changes(report, (*aimed, *price)),
        )
    if report.after:
        yield _parts(report)


def other_changes(report: FairnessReport) -> Iterator[Section]:
    """Yield the group metrics that were not aimed at, those that got worse first."""
    found = [one for one in report.delta if one.attribute and not one.optimized]
    if not found:
        return
    worse = [one for one in report.delta if _state(one) == "error"]
    told = [f"{_named(report, o.id)}: {shown(o.before)} → {shown(o.after)}" for o in worse]
    yield Section(
        title="What got worse",
        lead="Beyond what may be chance:"
        if told
        else "No number got worse beyond what may be chance.",
        items=tuple(told),
    )
    yield Section(
        title="Other metrics, before and after",
        table=_changes(report, sorted(found, key=lambda one: _state(one) != "error")),
    )


def who_changed(report: FairnessReport) -> Iterator[Section]:
    """Yield whose decision the repair changed, and whether it only took."""
    if not report.flips:
        return
    columns = (
        Column(name="group", number=False),
        Column(name="label", number=False),
        *(Column(name=name) for name in ("n", "lost", "won", "net")),
    )
    rows = tuple(
        Row(
            cells=(
                one.level,
                one.label,
                f"{one.n:,}",
                f"{one.lost:,}",
                f"{one.won:,}",
                f"{one.won - one.lost:+,}",
            )
        )
        for one in report.flips
    )
    lost, won = (sum(getattr(one, name) for one in report.flips) for name in ("lost", "won"))
    taken = any(one.code == "LEVEL_DOWN" for one in report.cautions)
    yield Section(
        title="Who changed",
        lead=f"{counted(lost + won, 'decision')} of {sum(one.n for one in report.flips):,}. Lost: "
        "the favorable decision before and not after; won: the reverse.",
        table=Table(columns=columns, rows=rows),
        items=(
            "Leveled down: the gap closed only by taking."
            if taken
            else "Not leveled down: some group's true positive rate rose, or none fell.",
        ),
    )


def aimed_metric(report: FairnessReport) -> str:
    """Return the id of the metric that the repair aimed at, "" if it is none of groups."""
    return next((one.id for one in report.delta if one.optimized), "")


def gap_of(report: FairnessReport, measured: Measurement) -> float:
    """Return the metric that was aimed at, NaN if it was not measured, or over several classes."""
    metric = aimed_metric(report)
    name = report.objective.attribute if report.objective is not None else ""
    wanted = (metric, name, "")
    found = (d.value for d in measured.disparities if (d.id, d.attribute, d.over) == wanted)
    return next(found, float("nan"))


def overall_of(measured: Measurement, name: str) -> float:
    """Return a number of all rows, NaN if it was not measured."""
    return next((one.value for one in measured.overall if one.id == name), float("nan"))


def _changes(report: FairnessReport, found: Sequence[Change]) -> Table:
    columns = (
        Column(name="metric", number=False),
        *(Column(name=name) for name in ("before", "after", "change", "95 % interval", "p")),
    )
    rows = tuple(
        Row(
            cells=(
                _named(report, one.id),
                shown(one.before),
                shown(one.after),
                signed(one.value),
                signed_span(one.low, one.high),
                p_value(one.p),
            ),
            state=_state(one),
        )
        for one in found
    )
    return Table(columns=columns, rows=rows, legend=_MEANINGS)


def _parts(report: FairnessReport) -> Section:
    columns = (
        Column(name="part", number=False),
        *(Column(name=name) for name in ("gap before", "gap after", "acc. before", "acc. after")),
    )
    rows = tuple(
        Row(
            cells=(
                _PARTS.get(first.part, first.part),
                shown(gap_of(report, first)),
                shown(gap_of(report, second)),
                shown(overall_of(first, "accuracy")),
                shown(overall_of(second, "accuracy")),
            )
        )
        for first, second in zip(report.before, report.after, strict=True)
    )
    return Section(
        title="Seen and unseen rows",
        lead="A gap much larger on rows that judge than on those that repair was fitted by chance.",
        table=Table(columns=columns, rows=rows),
    )


def _state(one: Change) -> str:
    if one.id in _NEUTRAL or not (isfinite(one.low) and isfinite(one.high)):
        return ""
    if one.low <= 0 <= one.high:
        return "unexamined"
    return "healthy" if (one.value > 0) == (one.id in _BETTER_HIGH) else "error"


def _named(report: FairnessReport, name: str) -> str:
    titles = (one.title for one in report.before[0].disparities if one.id == name)
    return next(titles, NAMES.get(name, name.replace("_", " ")))
