"""What a benchmark is asked, and what it answers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from dnnrepair.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """How to run a benchmark.

    Attributes:
        quick: fewer seeds and cases, under 2 minutes on 2 cores.
        data_dir: folder of real data, None for the embedded digits only.
        peers: run the closest existing tools on the same cases.
        peers_python: interpreter of the environment in which those tools are installed.
        cache: folder in which trained weights are kept from run to run, None for none.
        workers: number of processes, at least 1.
        seed: of whatever is random.
        progress: is told how far the work has come.
    """

    quick: bool = False
    data_dir: Path | None = None
    peers: bool = False
    peers_python: Path | None = None
    cache: Path | None = None
    workers: int = 2
    seed: int = 0
    progress: Progress = silent


@dataclass(frozen=True, slots=True)
class Figure:
    """A required number.

    Attributes:
        name: what was measured.
        bound: what is required, in words, such as "at most 2".
        value: what was measured, None if it could not be.
        met: whether the value keeps the bound, None if it was not measured in this run.
    """

    name: str
    bound: str
    value: float | None
    met: bool | None


@dataclass(frozen=True, slots=True)
class Table:
    """Text in rows and columns."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class BenchResult:
    """What a benchmark measured.

    Attributes:
        name: of the benchmark.
        tables: what it measured, for people.
        figures: what it was required to show.
        skipped: what could not be measured in this run, with the reason, a sentence each.
        plots: SVG files that stand alone, of benchmarks that draw.
    """

    name: str
    tables: tuple[Table, ...]
    figures: tuple[Figure, ...]
    skipped: tuple[str, ...] = ()
    plots: tuple[str, ...] = ()

    @property
    def met(self) -> bool:
        """Whether no required figure is missed."""
        return all(figure.met is not False for figure in self.figures)


def as_text(result: BenchResult) -> str:
    """Return Markdown tables, aligned so that they also read well in a terminal."""
    return "\n\n".join(_paragraphs(result)) + "\n"


def as_json(result: BenchResult) -> str:
    """Return a JSON object with ``schema_version``; numbers that are not finite become null."""
    plain: dict[str, Any] = {"schema_version": SCHEMA_VERSION, **asdict(result), "met": result.met}
    del plain["plots"]
    for figure in plain["figures"]:
        if figure["value"] is not None and not isfinite(figure["value"]):
            figure["value"] = None
    return json.dumps(plain, indent=2, allow_nan=False) + "\n"


renderers = {"text": as_text, "json": as_json}


def _paragraphs(result: BenchResult) -> Iterator[str]:
    for table in result.tables:
        yield f"### {table.title}"
        yield aligned(table.columns, table.rows)
    if result.figures:
        yield "### Required"
        yield aligned(("figure", "required", "measured", "met"), tuple(map(_row, result.figures)))
    if result.skipped:
        yield "\n".join(f"Skipped: {reason}" for reason in result.skipped)


def _row(figure: Figure) -> tuple[str, str, str, str]:
    value = "-" if figure.value is None else f"{figure.value:.4g}"
    met = {True: "yes", False: "NO", None: "-"}[figure.met]
    return figure.name, figure.bound, value, met


def aligned(columns: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> str:
    """Return a Markdown table whose columns line up."""
    cells = [tuple(cell.replace("|", "\\|") for cell in row) for row in (columns, *rows)]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    lines = [_line(row, widths) for row in cells]
    return "\n".join([lines[0], _line(tuple("-" * width for width in widths), widths), *lines[1:]])


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return f"| {' | '.join(padded)} |"
