"""A repair for a terminal: the outcome in sentences, then the numbers behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from rich.rule import Rule
from rich.table import Table as Drawn
from rich.text import Text

from dnnrepair.formats.document import tabled
from dnnrepair.formats.repair import document
from dnnrepair.formats.terminal import STYLES, drawn, facts_grid, indented, mark
from dnnrepair.formats.words import SYMBOLS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import RenderableType

    from dnnrepair.formats.document import Document, Row, Section, Table
    from dnnrepair.patch_report import PatchReport

_ROOMY = 68  # columns, in which tables fit without breaking numbers
_CHOSEN = "→"


def render(
    report: PatchReport,
    explanations: Mapping[str, str],  # noqa: ARG001
    *,
    width: int = 80,
    color: bool = False,
    ascii_only: bool = False,
) -> str:
    """Return the report in ``width`` columns."""
    said = document(report)
    parts = laid_out(said, report.tool_version, goal_first=report.accepted, roomy=roomy(width))
    return drawn(parts, width=width, color=color, ascii_only=ascii_only)


def roomy(width: int) -> bool:
    """Whether tables fit into so many columns without breaking numbers."""
    return width >= _ROOMY


def laid_out(
    said: Document, version: str, *, goal_first: bool, roomy: bool
) -> Iterator[RenderableType]:
    """Yield what a terminal shows of a document.

    Args:
        said: the document.
        version: of the tool.
        goal_first: what was to be done comes before what came of it.
        roomy: tables fit.
    """
    yield Rule(Text(f"dnnrepair {version}"), characters="─", style="dim")
    if goal_first:
        yield facts_grid(said.goal)
        yield Text()
        yield from _verdict(said)
    else:
        yield from _verdict(said)
        if said.goal:
            yield Text()
            yield facts_grid(said.goal)
    if said.figures:
        yield Text()
        yield from numbers(tabled(said.figures, "held-out part"), roomy=roomy)
    for section in said.sections:
        yield Text()
        yield from _section(section, roomy=roomy)


def _verdict(said: Document) -> Iterator[RenderableType]:
    yield Text.assemble(mark(said.state), (f" {said.headline}.", f"bold {STYLES[said.state]}"))
    for sentence in said.verdict:
        yield indented(sentence)


def _section(section: Section, *, roomy: bool) -> Iterator[RenderableType]:
    yield Text(section.title, style="bold")
    if section.lead:
        yield Text(section.lead, style="dim")
    if section.facts:
        yield facts_grid(section.facts)
    if section.table:
        yield from numbers(section.table, roomy=roomy)
    for item in section.items:
        yield indented(item)


def numbers(table: Table, *, roomy: bool) -> Iterator[RenderableType]:
    """Yield a table and what its marks mean; where it is not ``roomy``, a line for each row."""
    yield from [_table(table)] if roomy else _listed(table)
    known = [(SYMBOLS[state], meaning) for state, meaning in table.legend]
    if any(row.chosen for row in table.rows):
        known.insert(0, (_CHOSEN, "chosen"))
    if known:
        yield Text("   ".join(map(" ".join, known)), style="dim")


def _table(table: Table) -> Drawn:
    shown = Drawn(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    stated = any(row.state for row in table.rows)
    if stated:
        shown.add_column("")
    columns = list(_columns(table))
    for head, number, _ in columns:
        side: Literal["right", "left"] = "right" if number else "left"
        shown.add_column(Text(head), justify=side, overflow="fold", no_wrap="\n" in head)
    for place, row in enumerate(table.rows):
        style = "bold" if row.chosen else ""
        cells = [Text(cells[place], style) for _, _, cells in columns]
        shown.add_row(*([_sign(row)] if stated else []), *cells)
    return shown


def _listed(table: Table) -> Iterator[RenderableType]:
    """Yield a table's rows where it would be too narrow for columns."""
    heads = [f"{column.group} {column.name}".strip() for column in table.columns]
    for row in table.rows:
        pairs = zip(heads, row.cells, strict=True)
        said = ", ".join(f"{head} {cell}" for head, cell in pairs if cell)
        yield Text.assemble(_sign(row), " " if row.state else "", said)


def _sign(row: Row) -> Text:
    if row.chosen:
        return Text(_CHOSEN, "bold")
    return mark(row.state) if row.state else Text()


def _columns(table: Table) -> Iterator[tuple[str, bool, Sequence[str]]]:
    """Yield head, kind and cells of each column; a group becomes one, below its shared head."""
    cells = list(zip(*(row.cells for row in table.rows), strict=True))
    place = 0
    for group, count in table.groups:
        columns = table.columns[place : place + count]
        if group:
            pairs = zip(columns, cells[place:], strict=False)
            head, *merged = _side_by_side([(column.name, *known) for column, known in pairs])
            yield f"{group}\n{head}", False, merged
        else:
            yield columns[0].name, columns[0].number, cells[place]
        place += count


def _side_by_side(columns: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield the lines of several columns of numbers."""
    widths = [max(map(len, column)) for column in columns]
    for line in zip(*columns, strict=True):
        yield "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
