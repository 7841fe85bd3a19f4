"""An audit for a terminal: the verdict, then the numbers behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.rule import Rule
from rich.text import Text

from dnnrepair.formats.fairness import document
from dnnrepair.formats.repair_text import ROOMY, section_parts
from dnnrepair.formats.terminal import STYLES, drawn, facts_grid, indented, mark

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import RenderableType

    from dnnrepair.fairness_report import FairnessReport


def render(
    report: FairnessReport,
    explanations: Mapping[str, str],  # noqa: ARG001
    *,
    width: int = 80,
    color: bool = False,
    ascii_only: bool = False,
) -> str:
    """Return the report in ``width`` columns."""
    parts = _parts(report, roomy=width >= ROOMY)
    return drawn(parts, width=width, color=color, ascii_only=ascii_only)


def _parts(report: FairnessReport, *, roomy: bool) -> Iterator[RenderableType]:
    said = document(report)
    title = f"dnnrepair {report.tool.version} {report.command}"
    yield Rule(Text(title), characters="─", style="dim")
    yield Text.assemble(mark(said.state), (f" {said.headline}.", f"bold {STYLES[said.state]}"))
    for sentence in said.verdict:
        yield indented(sentence)
    yield Text()
    yield facts_grid(said.goal)
    for section in said.sections:
        yield Text()
        yield from section_parts(section, roomy=roomy)
