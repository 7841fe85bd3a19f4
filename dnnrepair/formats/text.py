"""The report for a terminal: layer tree, then findings, worst first."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from dnnrepair.finding import Severity
from dnnrepair.formats.tree import grown, rows
from dnnrepair.formats.words import (
    SYMBOLS,
    abbreviated,
    amount,
    counted,
    coverage,
    dimensions,
    facts,
    place,
    reasons,
    state,
    tally,
    verdict,
    walk,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import RenderableType

    from dnnrepair.finding import Finding, Remedy
    from dnnrepair.report import LayerHealth, Report

_STYLES = {
    "healthy": "green",
    "note": "blue",
    "warning": "yellow",
    "error": "bold red",
    "unexamined": "dim",
}
_ASCII = str.maketrans("✔●▲✖·├└│─…→\N{MULTIPLICATION SIGN}", "+o!x.|`|-~>x")


def _mark(name: str) -> Text:
    return Text(SYMBOLS[name], style=_STYLES[name])


def _card(report: Report) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts(report):
        table.add_row(Text(name, style="dim"), Text(value))
    for note in report.model.notes:
        table.add_row(Text("Note", style="dim"), Text(note))
    return table


def _cells(label: str, layer: LayerHealth | None) -> list[Text]:
    if layer is None:
        return [Text(), Text(label, style="dim")]
    parameters = f"{layer.parameters:,}" if layer.parameters else ""
    codes = " ".join(dict.fromkeys(layer.codes))
    mark = state(layer)
    known = [
        Text(layer.op),
        Text(dimensions(layer.shape)),
        Text(parameters),
        Text(codes, style=_STYLES[mark]),
    ]
    return [_mark(mark), Text(label), *known]


def _tree(report: Report) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("")
    for name in ("layer", "op", "output"):
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    table.add_column("params", no_wrap=True, justify="right")
    table.add_column("findings", overflow="fold")
    for row in rows(grown(report.layers)):
        table.add_row(*_cells(row.label, row.layer))
    return table


def _legend() -> Text:
    words = {"note": "note", "warning": "warning", "error": "error"}
    names = {"healthy": "healthy", **words, "unexamined": "not examined"}
    legend = Text()
    for name, meaning in names.items():
        legend.append(SYMBOLS[name], style=_STYLES[name]).append(f" {meaning}   ", style="dim")
    return legend


def _numbers(finding: Finding) -> Text:
    line = Text("measured ").append(amount(finding.measured, finding.unit), style="bold")
    line.append(f", limit {amount(finding.limit, finding.unit)}")
    return line.append(f", healthy: {finding.healthy}") if finding.healthy else line


def _indented(text: Text | str, columns: int = 2) -> RenderableType:
    return Padding(Text(text) if isinstance(text, str) else text, (0, 0, 0, columns))


def _pasteable(code: str) -> Text:
    """Return code at the left edge and unwrapped: what is pasted must run."""
    return Text(code, style="cyan", no_wrap=True, overflow="ignore")


def _remedy(remedy: Remedy) -> Iterator[RenderableType]:
    yield _indented(f"→ {remedy.advice}")
    if remedy.code:
        yield _pasteable(remedy.code.strip("\n"))
    if remedy.command:
        yield _pasteable(remedy.command)


def _finding(finding: Finding) -> Iterator[RenderableType]:
    head = Text.assemble(
        _mark(finding.severity),
        (f" {finding.code} {finding.severity}", _STYLES[finding.severity]),
        f" in {place(finding)}",
    )
    yield head
    yield _indented(finding.message)
    yield _indented(_numbers(finding))
    if finding.units:
        yield _indented(f"units {abbreviated(finding.units)}")
    for fact in finding.evidence:
        yield _indented(f"· {fact}")
    for remedy in finding.remedies:
        yield from _remedy(remedy)
    if finding.consequences:
        yield _indented("leads to")
        yield from map(_consequence, walk(finding.consequences))
    yield Text()


def _notes(notes: list[Finding]) -> Iterator[RenderableType]:
    """Yield a line per note: what is harmless alone must not bury what is not."""
    yield Text.assemble(
        (f"Notes: {len(notes)}, harmless alone", "bold"),
        (" (details with --output-format html)", "dim"),
    )
    for note in notes:
        line = _mark(note.severity).append(f" {note.code} in {place(note)}: {note.message}")
        yield _indented(line)
    yield Text()


def _consequence(finding: Finding) -> RenderableType:
    said = f" {finding.code} in {place(finding)}: {finding.message}"
    line = _mark(finding.severity).append(said)
    line.no_wrap, line.overflow = True, "ellipsis"
    return _indented(line, 4)


def _skipped(report: Report) -> Iterator[RenderableType]:
    yield Text(f"Skipped: {counted(len(report.skipped), 'check')}", style="bold")
    for reason, codes in reasons(report.skipped):
        yield _indented(reason)
        yield _indented(Text(", ".join(codes), style="dim"), 4)
    yield Text()


def _summary(report: Report) -> Iterator[RenderableType]:
    for setting in report.settings:
        yield Text(f"setting {setting}", style="dim")
    worst = report.worst()
    yield Text(verdict(report), style=f"bold {_STYLES[worst] if worst else 'green'}")
    if report.inconclusive and tally(report) != "no findings":
        yield Text(f"Inconclusive beyond that: {report.inconclusive}")
    yield Text(f"{coverage(report)}.")


def _parts(report: Report) -> Iterator[RenderableType]:
    yield Rule(Text(f"dnnrepair {report.tool_version}"), characters="─", style="dim")
    yield _card(report)
    yield Text()
    if report.layers:
        yield Group(_tree(report), _legend(), Text())
    notes = [f for f in report.findings if f.severity is Severity.NOTE]
    for finding in report.findings:
        if finding.severity is not Severity.NOTE:
            yield Group(*_finding(finding))
    if notes:
        yield Group(*_notes(notes))
    if report.skipped:
        yield Group(*_skipped(report))
    yield Group(*_summary(report))


def render(
    report: Report,
    explanations: Mapping[str, str],  # noqa: ARG001
    *,
    width: int = 80,
    color: bool = False,
    ascii_only: bool = False,
) -> str:
    """Return the report in ``width`` columns; only code to be pasted may be wider."""
    stream = StringIO()
    console = Console(
        file=stream,
        width=max(width, 40),
        force_terminal=color,
        color_system="standard" if color else None,
        no_color=not color,
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
    )
    for part in _parts(report):
        console.print(part, crop=False)
    drawn = "\n".join(line.rstrip() for line in stream.getvalue().split("\n"))
    if ascii_only:
        drawn = drawn.translate(_ASCII).encode("ascii", "replace").decode()
    return drawn
