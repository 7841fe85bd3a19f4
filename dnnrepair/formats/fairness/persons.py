"""What becomes of single rows when the sensitive attribute alone is rewritten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.formats.document import Column, Row, Section, Table
from dnnrepair.formats.fairness.numbers import shown, span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.fairness_report import Estimate, FairnessReport, Individual


def persons(report: FairnessReport) -> Iterator[Section]:
    """Yield what was measured of single rows, or why it was not."""
    if not report.individual:
        return
    after = {one.attribute: one for one in report.individual_after}
    rows: list[Row] = []
    for one in report.individual:
        if not one.reason:
            rows += _rows(one, after.get(one.attribute), stated=bool(after))
    columns = (
        Column(name="rewritten", number=False),
        *((Column(name="", number=False),) if after else ()),
        Column(name="rows"),
        Column(name="flips"),
        Column(name="95 % interval"),
        Column(name="move"),
        Column(name="95 % interval"),
    )
    yield Section(
        title="Individuals",
        lead="What changes if only the sensitive attribute of the same row is rewritten, to every "
        "other level in turn. Flips: decisions that change with some level; move: by how much a "
        "score moves at most, on average.",
        table=Table(columns=columns, rows=tuple(rows)) if rows else None,
        items=tuple(
            f"{one.attribute}: not measured: {one.reason}"
            for one in report.individual
            if one.reason
        ),
    )


def _rows(before: Individual, after: Individual | None, *, stated: bool) -> Iterator[Row]:
    first = (before.attribute, *(("before",) if stated else ()), f"{before.rows:,}")
    yield Row(cells=(*first, *_cells(before)))
    if after is not None and not after.reason:
        yield Row(cells=("", "after", "", *_cells(after)))


def _cells(one: Individual) -> tuple[str, ...]:
    moved = one.independence
    return (
        *_percent(one.flip_rate),
        shown(moved.value) if moved else "-",
        span(moved.low, moved.high) if moved else "",
    )


def _percent(found: Estimate | None) -> tuple[str, str]:
    if found is None:
        return "-", ""
    return f"{found.value:.1%}", f"{found.low:.1%} to {found.high:.1%}"
