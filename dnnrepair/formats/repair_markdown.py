"""A repair as Markdown for pull-request comments: the outcome first, the rest folded below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.formats.markdown import escaped
from dnnrepair.formats.repair import document
from dnnrepair.formats.words import SYMBOLS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from dnnrepair.formats.document import Document, Figure, Section, Table
    from dnnrepair.patch_report import PatchReport


def render(report: PatchReport, explanations: Mapping[str, str]) -> str:  # noqa: ARG001
    """Return the report as GitHub-flavored Markdown."""
    return "\n\n".join(_blocks(document(report), accepted=report.accepted)) + "\n"


def _blocks(said: Document, *, accepted: bool) -> Iterator[str]:
    goal = _list(f"**{name}** {escaped(value)}" for name, value in said.goal)
    outcome = _list(map(escaped, said.verdict))
    yield f"### {SYMBOLS[said.state]} dnnrepair: {escaped(said.headline)}"
    yield from (goal, outcome) if accepted else (outcome, goal)
    if said.figures:
        yield _figures(said.figures)
    for section in said.sections:
        yield from _section(section)


def _list(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _figures(figures: Iterable[Figure]) -> str:
    rows = ((figure.name, figure.count, figure.value, figure.interval) for figure in figures)
    head = "| held-out part | inputs | share | 95 % interval |"
    return "\n".join((head, "|---|--:|--:|--:|", *map(_row, rows)))


def _section(section: Section) -> Iterator[str]:
    yield f"<details><summary>{escaped(section.title)}</summary>"
    if section.lead:
        yield escaped(section.lead)
    if section.table:
        yield _table(section.table)
    if section.items:
        yield _list(map(escaped, section.items))
    yield "</details>"


def _table(table: Table) -> str:
    stated = any(row.state for row in table.rows)
    heads = [" ".join(filter(None, (c.group, c.name))) for c in table.columns]
    rule = ["--:" if column.number else "---" for column in table.columns]
    rows = []
    for row in table.rows:
        cells = [f"**{escaped(c)}**" if row.chosen and c else escaped(c) for c in row.cells]
        rows.append([*([SYMBOLS[row.state] if row.state else ""] if stated else []), *cells])
    first = [["", *heads], ["---", *rule]] if stated else [heads, rule]
    lines = [*(" | ".join(line) for line in (*first, *rows))]
    return "\n".join(f"| {line} |" for line in lines)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(map(escaped, cells))} |"
