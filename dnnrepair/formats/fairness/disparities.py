"""Metrics of groups: those with limits, all others, and those of pairs of attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.formats.document import Column, Row, Section, Table
from dnnrepair.formats.fairness.numbers import STATES, shown, span
from dnnrepair.formats.fairness.scope import attributes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dnnrepair.fairness_report import Disparity, FairnessReport

VERDICTS = (("healthy", "pass"), ("error", "fail"), ("warning", "inconclusive"))
_MOST = ("largest fall", "selection rate")  # constraints that bound from above
_KEPT = (("healthy", "kept"), ("error", "not kept"))


def gates(report: FairnessReport) -> Iterator[Section]:
    """Yield the limits of an audit and what became of them."""
    found = [one for one in report.before[0].disparities if one.gate]
    if found:
        how = "value" if report.gate_by == "point" else "95 % interval"
        yield Section(
            title="Limits",
            lead=f"A limit passes if the {how} keeps it and fails if the {how} lies beyond it. "
            "“By chance” is what would be found on average if all groups were treated alike.",
            table=_table(found, limited=True, named=True),
        )


def repair_gates(report: FairnessReport) -> Iterator[Section]:
    """Yield what a repair had to keep, and what became of the limits of an audit."""
    if report.constraints:
        yield _constraints(report)
    before = report.before[0].disparities
    after = {(o.id, o.attribute, o.over): o for o in report.after[0].disparities} if (
        report.after
    ) else {}  # fmt: skip
    found = [(one, after.get((one.id, one.attribute, one.over))) for one in before if one.gate]
    if not found:
        return
    columns = (
        Column(name="metric", number=False),
        Column(name="by", number=False),
        Column(name="before"),
        *((Column(name="after"),) if after else ()),
        Column(name="95 % interval"),
        Column(name="limit"),
    )
    rows = []
    for first, second in found:
        last = second or first
        values = [shown(first.value), *([shown(last.value)] if after else [])]
        cells = (first.title, first.attribute, *values, span(last.low, last.high), _limit(first))
        rows.append(Row(cells=cells, state=STATES.get(last.verdict, "")))
    yield Section(
        title="Limits on group metrics",
        lead="What an audit would say of the "
        f"{'repaired' if after else 'untouched'} network on the rows that judge; the repair was "
        "not asked to pass these.",
        table=Table(columns=columns, rows=tuple(rows), legend=VERDICTS),
    )


def others(report: FairnessReport) -> Iterator[Section]:
    """Yield the metrics of an audit that have no limit."""
    single = {one.name for one in attributes(report)}
    found = [
        one for one in report.before[0].disparities if not one.gate and one.attribute in single
    ]
    if found:
        yield Section(
            title="Other metrics",
            lead="Measured, but without a limit.",
            table=_table(found, limited=False, named=True),
        )


def crossed(report: FairnessReport) -> Iterator[Section]:
    """Yield the metrics of pairs of attributes that do not count for the verdict."""
    for pair in report.inputs.sensitive:
        found = [
            one
            for one in report.before[0].disparities
            if pair.parts and not one.gate and one.attribute == pair.name
        ]
        if found:
            limited = any(one.limit is not None for one in found)
            yield Section(
                title=f"Gaps by {pair.name}",
                lead="They do not count for the verdict; --gate-intersections makes them count.",
                table=_table(found, limited=limited, named=False),
            )


def _constraints(report: FairnessReport) -> Section:
    columns = (
        Column(name="what had to be kept", number=False),
        Column(name="limit"),
        Column(name="on rows that judge"),
    )
    rows = tuple(
        Row(
            cells=(one.id, f"{_bound(one.id)} {one.limit:g}", f"{one.observed:.4f}"),
            state="healthy" if one.held else "error",
        )
        for one in report.constraints
    )
    return Section(title="Limits", table=Table(columns=columns, rows=rows, legend=_KEPT))


def _bound(name: str) -> str:
    return "at most" if name.startswith(_MOST) else "at least"


def _table(found: Sequence[Disparity], *, limited: bool, named: bool) -> Table:
    columns = [Column(name="metric", number=False)]
    columns += [Column(name="by", number=False)] if named else []
    columns += [Column(name="value"), Column(name="95 % interval"), Column(name="by chance")]
    columns += [Column(name="limit")] if limited else []
    rows = tuple(_row(one, limited=limited, named=named) for one in found)
    return Table(columns=tuple(columns), rows=rows, legend=VERDICTS if limited else ())


def _row(one: Disparity, *, limited: bool, named: bool) -> Row:
    over = f", {one.over} over classes" if one.over else ""
    cells = [f"{one.title}{over}", *([one.attribute] if named else [])]
    cells += [shown(one.value), span(one.low, one.high), shown(one.noise_floor)]
    cells += [_limit(one)] if limited else []
    return Row(cells=tuple(cells), state=STATES.get(one.verdict, "") if limited else "")


def _limit(one: Disparity) -> str:
    bound = "at least" if one.ratio else "at most"
    return f"{bound} {one.limit:g}" if one.limit is not None else ""
