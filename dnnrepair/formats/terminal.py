"""What a terminal shows: drawn by rich, without trailing blanks, in ASCII where it must be."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dnnrepair.formats.words import SYMBOLS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType

STYLES = {
    "healthy": "green",
    "note": "blue",
    "warning": "yellow",
    "error": "bold red",
    "unexamined": "dim",
}
_ASCII = str.maketrans("✔●▲✖·├└│─…→\N{MULTIPLICATION SIGN}", "+o!x.|`|-~>x")
_NARROWEST = 40


def drawn(
    parts: Iterable[RenderableType],
    *,
    width: int = 80,
    color: bool = False,
    ascii_only: bool = False,
) -> str:
    """Return what rich makes of the parts, in ``width`` columns, 40 at least."""
    stream = StringIO()
    console = Console(
        file=stream,
        width=max(width, _NARROWEST),
        force_terminal=color,
        color_system="standard" if color else None,
        no_color=not color,
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
        _environ={},
    )
    for part in parts:
        console.print(part, crop=False)
    lines = "\n".join(line.rstrip() for line in stream.getvalue().split("\n"))
    if ascii_only:
        lines = lines.translate(_ASCII).encode("ascii", "replace").decode()
    return lines


def mark(name: str) -> Text:
    """Return the symbol of a state in its color."""
    return Text(SYMBOLS[name], style=STYLES[name])


def facts_grid(facts: Iterable[tuple[str, str]]) -> Table:
    """Return names and values, the names dim."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(Text(name, style="dim"), Text(value))
    return table


def indented(text: Text | str, columns: int = 2) -> RenderableType:
    """Return text that stands in from the left edge on every line."""
    return Padding(Text(text) if isinstance(text, str) else text, (0, 0, 0, columns))
