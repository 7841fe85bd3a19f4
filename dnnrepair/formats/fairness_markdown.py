"""An audit as Markdown for pull-request comments: the verdict first, the rest folded below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.formats.fairness import document
from dnnrepair.formats.markdown import escaped
from dnnrepair.formats.repair_markdown import listed, section_blocks
from dnnrepair.formats.words import SYMBOLS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dnnrepair.fairness_report import FairnessReport


def render(report: FairnessReport, explanations: Mapping[str, str]) -> str:  # noqa: ARG001
    """Return the report as GitHub-flavored Markdown."""
    return "\n\n".join(_blocks(report)) + "\n"


def _blocks(report: FairnessReport) -> Iterator[str]:
    said = document(report)
    yield f"### {SYMBOLS[said.state]} dnnrepair {report.command}: {escaped(said.headline)}"
    yield listed(map(escaped, said.verdict))
    yield listed(f"**{escaped(name)}** {escaped(value)}" for name, value in said.goal)
    for section in said.sections:
        yield from section_blocks(section)
