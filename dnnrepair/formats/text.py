"""The report for a terminal: layer tree, then findings, worst first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from dnnrepair.finding import Severity
from dnnrepair.formats.terminal import STYLES, drawn, facts_grid, indented, mark
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


def _card(report: Report) -> RenderableType:
    notes = (("Note", note) for note in report.model.notes)
    return facts_grid((*facts(report), *notes))


def _cells(label: str, layer: LayerHealth | None) -> list[Text]:
    if layer is None:
        return [Text(), Text(label, style="dim")]
    parameters = f"{layer.parameters:,}" if layer.parameters else ""
    codes = " ".join(dict.fromkeys(layer.codes))
    found = state(layer)
    known = [
        Text(layer.op),
        Text(dimensions(layer.shape)),
        Text(parameters),
        Text(codes, style=STYLES[found]),
    ]
    return [mark(found), Text(label), *known]


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
        legend.append(SYMBOLS[name], style=STYLES[name]).append(f" {meaning}   ", style="dim")
    return legend


def _numbers(finding: Finding) -> Text:
    line = Text("measured ").append(amount(finding.measured, finding.unit), style="bold")
    line.append(f", limit {amount(finding.limit, finding.unit)}")
    return line.append(f", healthy: {finding.healthy}") if finding.healthy else line


def _pasteable(code: str) -> Text:
    """Return code at the left edge and unwrapped: what is pasted must run."""
    return Text(code, style="cyan", no_wrap=True, overflow="ignore")


def _remedy(remedy: Remedy) -> Iterator[RenderableType]:
    yield indented(f"→ {remedy.advice}")
    if remedy.code:
        yield _pasteable(remedy.code.strip("\n"))
    if remedy.command:
        yield _pasteable(remedy.command)


def _finding(finding: Finding) -> Iterator[RenderableType]:
    head = Text.assemble(
        mark(finding.severity),
        (f" {finding.code} {finding.severity}", STYLES[finding.severity]),
        f" in {place(finding)}",
    )
    yield head
    yield indented(finding.message)
    yield indented(_numbers(finding))
    if finding.units:
        yield indented(f"units {abbreviated(finding.units)}")
    for fact in finding.evidence:
        yield indented(f"· {fact}")
    for remedy in finding.remedies:
        yield from _remedy(remedy)
    if finding.consequences:
        yield indented("leads to")
        yield from map(_consequence, walk(finding.consequences))
    yield Text()


def _notes(notes: list[Finding]) -> Iterator[RenderableType]:
    """Yield a line per note: what is harmless alone must not bury what is not."""
    yield Text.assemble(
        (f"Notes: {len(notes)}, harmless alone", "bold"),
        (" (details with --output-format html)", "dim"),
    )
    for note in notes:
        line = mark(note.severity).append(f" {note.code} in {place(note)}: {note.message}")
        yield indented(line)
    yield Text()


def _consequence(finding: Finding) -> RenderableType:
    said = f" {finding.code} in {place(finding)}: {finding.message}"
    line = mark(finding.severity).append(said)
    line.no_wrap, line.overflow = True, "ellipsis"
    return indented(line, 4)


def _skipped(report: Report) -> Iterator[RenderableType]:
    yield Text(f"Skipped: {counted(len(report.skipped), 'check')}", style="bold")
    for reason, codes in reasons(report.skipped):
        yield indented(reason)
        yield indented(Text(", ".join(codes), style="dim"), 4)
    yield Text()


def _summary(report: Report) -> Iterator[RenderableType]:
    for setting in report.settings:
        yield Text(f"setting {setting}", style="dim")
    worst = report.worst()
    yield Text(verdict(report), style=f"bold {STYLES[worst] if worst else 'green'}")
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
    return drawn(_parts(report), width=width, color=color, ascii_only=ascii_only)
