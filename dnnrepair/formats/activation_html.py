"""Activations as one HTML file, with a plot of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from dnnrepair.formats.activation_words import (
    LISTED_LEAD,
    facts,
    in_words,
    listed,
    settings,
    view,
)
from dnnrepair.formats.drawing import INK, PAINTS, STYLE, figure, svg
from dnnrepair.formats.pages import page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnnrepair.activation_sheet import ActivationSheet


def table(sheets: Sequence[ActivationSheet]) -> str:
    """Return a page with a row for each activation, and each below it."""
    return _page(sheets, listed(sheets) if len(sheets) > 1 else None)


def render(sheet: ActivationSheet) -> str:
    """Return a page about one activation."""
    return _page([sheet], None)


def _page(sheets: Sequence[ActivationSheet], rows: object) -> str:
    entries = [
        {
            "sheet": sheet,
            "facts": list(facts(sheet)),
            "settings": settings(sheet),
            "paragraphs": sheet.explanation.split("\n\n") if sheet.explanation else [],
            "plot": Markup(plot(sheet)),  # noqa: S704 - numbers and matplotlib's own text
            "seen": in_words(sheet),
        }
        for sheet in sheets
    ]
    made = page("activations.html").render(entries=entries, rows=rows, lead=LISTED_LEAD)
    return made + "\n"


def plot(sheet: ActivationSheet) -> str:
    """Return value and slope as SVG, ``""`` for an activation of several inputs."""
    if not sheet.curve:
        return ""
    from matplotlib import rc_context

    with rc_context(STYLE):
        drawing, axes = figure(4.6, 2.4)
        x = [point.x for point in sheet.curve]
        axes.axhline(0, color=INK, linewidth=0.6, alpha=0.5)
        axes.axvline(0, color=INK, linewidth=0.6, alpha=0.5)
        axes.plot(x, [point.value for point in sheet.curve], color=PAINTS["series-1"], lw=1.8,
                  label="value")  # fmt: skip
        axes.plot(x, [point.slope for point in sheet.curve], color=PAINTS["series-2"], lw=1.2,
                  ls=(0, (4, 2)), label="slope")  # fmt: skip
        axes.set_ylim(*view(sheet))
        axes.set_xlim(x[0], x[-1])
        axes.grid(visible=True)
        axes.legend(frameon=False, loc="upper left")
        return svg(drawing, f"activation {sheet.name}")
