"""Groups and their rates: of single attributes and of pairs, before and after a repair."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from dnnrepair.formats.document import Column, Row, Section, Table
from dnnrepair.formats.fairness.numbers import (
    HEADS,
    NAMES,
    p_value,
    shown,
    signed,
    signed_span,
    span,
)
from dnnrepair.formats.fairness.scope import attributes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dnnrepair.fairness_report import Curves, FairnessReport, Group

_ELIGIBLE = (("healthy", "enough rows"), ("unexamined", "too few rows to judge"))
_MEANINGS = (
    "fav.: rows with the favorable label, base: their share; sel.: share with the favorable "
    "prediction; TPR, FPR: that share among rows whose label is favorable, or is not; PPV: share "
    "of favorable labels among favorable predictions; ECE: expected calibration error."
)


def group_sections(report: FairnessReport) -> Iterator[Section]:
    """Yield a table for each attribute, then one for each pair of attributes."""
    explained = False
    for one in attributes(report):
        section = _section(report, one.name, lead="" if explained else _MEANINGS)
        explained = True
        yield section
    if report.before[0].pairs and not report.after:
        yield _pairs(report)


def cross_sections(report: FairnessReport) -> Iterator[Section]:
    """Yield a table for each pair of attributes; small groups are named and not measured."""
    for one in report.inputs.sensitive:
        if one.parts:
            yield _section(report, one.name, lead="", least=report.min_group)


def score_sections(report: FairnessReport) -> Iterator[Section]:
    """Yield how well scores part and predict the labels of each group."""
    measured = (report.after or report.before)[0]
    before = {(one.attribute, one.level): one for one in report.before[0].curves}
    for one in attributes(report):
        found = [curve for curve in measured.curves if curve.attribute == one.name]
        if found:
            yield _scores(one.name, found, before if report.after else {})


def title(name: str, *, repaired: bool) -> str:
    """Return the title of the section of an attribute."""
    return f"Groups by {name}{', before and after' if repaired else ''}"


def scores_title(name: str) -> str:
    """Return the title of the section of an attribute's curves."""
    return f"Scores by {name}"


def _section(report: FairnessReport, name: str, *, lead: str, least: int = 0) -> Section:
    groups = [group for group in report.before[0].groups if group.attribute == name]
    after = {g.level: g for g in report.after[0].groups if g.attribute == name} if (
        report.after
    ) else {}  # fmt: skip
    two = isfinite(groups[0].n_pos)
    columns = [Column(name=name, number=False), Column(name="n")]
    columns += [Column(name="fav.")] if two else []
    columns += [Column(name="", number=False)] if after else []
    columns += [Column(name=HEADS.get(rate.id, rate.id)) for rate in groups[0].rates]
    rows = [
        row
        for group in groups
        for row in _rows(group, after.get(group.level), two=two, least=least)
    ]
    return Section(
        title=title(name, repaired=bool(after)),
        lead=lead if two else "",
        table=Table(columns=tuple(columns), rows=tuple(rows), legend=_ELIGIBLE),
        items=tuple(f"{g.level}: {g.reason}" for g in groups if g.reason and not _hidden(g, least)),
    )


def _rows(group: Group, after: Group | None, *, two: bool, least: int) -> Iterator[Row]:
    state = "healthy" if group.eligible else "unexamined"
    if _hidden(group, least):
        few = (group.level, f"< {least}" if group.n else "0", *(("",) if two else ()))
        blank = (("",) if after else ()) + ("-",) * len(group.rates)
        yield Row(cells=(*few, *blank), state=state)
        return
    favorable = (f"{group.n_pos:,.0f}",) if two else ()
    head = (group.level, f"{group.n:,}", *favorable)
    before = tuple(shown(rate.value) for rate in group.rates)
    if after is None:
        yield Row(cells=(*head, *before), state=state)
        return
    yield Row(cells=(*head, "before", *before), state=state)
    now = tuple(shown(after.rate(rate.id).value) for rate in group.rates)
    yield Row(cells=(*("",) * len(head), "after", *now))


def _hidden(group: Group, least: int) -> bool:
    return group.n < least


def _pairs(report: FairnessReport) -> Section:
    columns = (
        Column(name="rate", number=False),
        Column(name="group", number=False),
        Column(name="less", number=False),
        Column(name="difference"),
        Column(name="95 % interval"),
        Column(name="p"),
    )
    rows = tuple(
        Row(
            cells=(
                NAMES.get(one.rate, one.rate),
                one.level,
                one.reference,
                signed(one.value),
                signed_span(one.low, one.high),
                p_value(one.p),
            )
        )
        for one in report.before[0].pairs
    )
    return Section(
        title="Compared with the reference group",
        lead="Intervals hold for all groups of a rate together (Bonferroni), p-values are adjusted "
        "for their number (Holm).",
        table=Table(columns=columns, rows=rows),
    )


def _scores(name: str, found: Sequence[Curves], before: dict[tuple[str, str], Curves]) -> Section:
    columns = [Column(name=name, number=False), Column(name="n")]
    columns += [Column(name="AUC before")] if before else []
    columns += [Column(name="AUC after" if before else "AUC"), Column(name="95 % interval")]
    rows = []
    for one in found:
        earlier = before.get((one.attribute, one.level))
        cells = [one.level, f"{one.auc.count:,.0f}"]
        cells += [shown(earlier.auc.value) if earlier else "-"] if before else []
        cells += [shown(one.auc.value), span(one.auc.low, one.auc.high)]
        rows.append(Row(cells=tuple(cells)))
    return Section(
        title=scores_title(name),
        lead="AUC: how often a row with the favorable label scores above one without, in the same "
        "group; 0.5 is chance. Groups with too few rows are left out.",
        table=Table(columns=tuple(columns), rows=tuple(rows)),
    )
