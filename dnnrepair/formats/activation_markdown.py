"""Activations as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.formats.activation_words import LISTED_LEAD, facts, listed, settings
from dnnrepair.formats.markdown import escaped, fence
from dnnrepair.formats.repair_markdown import table as tabled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dnnrepair.activation_sheet import ActivationSheet


def table(sheets: Sequence[ActivationSheet]) -> str:
    """Return a row for each activation."""
    return f"{tabled(listed(sheets))}\n\n{escaped(LISTED_LEAD)}\n"


def render(sheet: ActivationSheet) -> str:
    """Return all there is to say about one activation."""
    return "\n\n".join(_blocks(sheet)) + "\n"


def _blocks(sheet: ActivationSheet) -> Iterator[str]:
    yield f"# {escaped(sheet.name)}"
    yield escaped(sheet.summary)
    if sheet.explanation:
        yield escaped(sheet.explanation)
    yield "\n".join(f"- **{name}** {escaped(value)}" for name, value in facts(sheet))
    if sheet.settings:
        yield "\n".join(["## Settings", "", *(f"- {escaped(line)}" for line in settings(sheet))])
    yield "## Source"
    yield fence(sheet.source.rstrip(), "python")
