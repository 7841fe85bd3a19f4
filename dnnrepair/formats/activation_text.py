"""Activations for a terminal: a table of all, or one with its curve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.rule import Rule
from rich.text import Text

from dnnrepair.formats.activation_words import LISTED_LEAD, facts, listed, settings, view
from dnnrepair.formats.braille import Canvas
from dnnrepair.formats.repair_text import numbers
from dnnrepair.formats.terminal import drawn, facts_grid, indented

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from dnnrepair.activation_sheet import ActivationSheet

_ROOMY = 68  # columns, in which tables fit without breaking numbers
_PLOT = (56, 12)  # columns and rows
_MARGIN = 7  # columns of the numbers beside it


def table(
    sheets: Sequence[ActivationSheet],
    *,
    width: int = 80,
    color: bool = False,
    ascii_only: bool = False,
) -> str:
    """Return a row for each activation, in ``width`` columns."""
    parts = [*numbers(listed(sheets), roomy=width >= _ROOMY), Text(), Text(LISTED_LEAD, "dim")]
    return drawn(parts, width=width, color=color, ascii_only=ascii_only)


def render(
    sheet: ActivationSheet, *, width: int = 80, color: bool = False, ascii_only: bool = False
) -> str:
    """Return all there is to say about one activation, in ``width`` columns."""
    parts = _parts(sheet, width, ascii_only=ascii_only)
    told = drawn(parts, width=width, color=color, ascii_only=ascii_only)
    return told if sheet.module.startswith("nn.") else f"{told}{sheet.source}"  # never wrapped


def _parts(sheet: ActivationSheet, width: int, *, ascii_only: bool) -> Iterator[RenderableType]:
    yield Rule(Text(sheet.name), characters="─", style="dim")
    yield Text(sheet.summary, style="bold")
    if sheet.explanation:
        yield Text()
        yield Text(_flowing(sheet.explanation))
    yield Text()
    yield facts_grid(facts(sheet))
    if sheet.settings:
        yield Text()
        yield Text("Settings", style="bold")
        yield from map(indented, settings(sheet))
    if sheet.curve:
        yield Text()
        yield Text("Value and, dim, slope" if not ascii_only else "Value", style="bold")
        yield from _plot(sheet, min(_PLOT[0], max(width, 40) - _MARGIN - 1), ascii_only=ascii_only)
    if not sheet.module.startswith("nn."):
        yield Text()
        yield Text("Source", style="bold")


def _flowing(text: str) -> str:
    """Return paragraphs without line breaks inside."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _plot(sheet: ActivationSheet, columns: int, *, ascii_only: bool) -> Iterator[RenderableType]:
    across, up = (sheet.curve[0].x, sheet.curve[-1].x), view(sheet)
    value, slope, axes = (Canvas(across, up, (columns, _PLOT[1])) for _ in range(3))
    value.line([(point.x, point.value) for point in sheet.curve])
    slope.line([(point.x, point.slope) for point in sheet.curve])
    axes.axes()
    layers = [canvas.rows(ascii_only=ascii_only) for canvas in (value, slope, axes)]
    for row, lines in enumerate(zip(*layers, strict=True)):
        label = {0: f"{up[1]:.2g}", _PLOT[1] - 1: f"{up[0]:.2g}"}.get(row, "")
        yield Text.assemble(f"{label:>{_MARGIN - 1}} ", *_merged(lines, ascii_only=ascii_only))
    ends = f"{across[0]:.2g}", f"{across[1]:.2g}"
    yield Text(" " * _MARGIN + ends[0] + ends[1].rjust(columns - len(ends[0])), "dim")


def _merged(lines: Sequence[str], *, ascii_only: bool) -> Iterator[tuple[str, str]]:
    """Yield each character of a row with its style: the curve is bright, all else dim."""
    value, slope, axes = lines
    for one, other, third in zip(value, slope, axes, strict=True):
        if one != " ":
            yield one, ""
        elif ascii_only:
            yield ":" if third != " " else " ", "dim"
        else:
            yield (other if other != " " else third), "dim"
