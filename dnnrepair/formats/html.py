"""One HTML file: no network, no script, readable on paper and in the dark."""

from __future__ import annotations

import re
from inspect import cleandoc
from typing import TYPE_CHECKING

from markupsafe import Markup

from dnnrepair.finding import Severity
from dnnrepair.formats.pages import page
from dnnrepair.formats.plots import along_depth, histogram, interesting
from dnnrepair.formats.words import (
    SYMBOLS,
    amount,
    clean_lines,
    counted,
    coverage,
    facts,
    reasons,
    state,
    verdict,
    walk,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dnnrepair.report import LayerHealth, Report

_MOST_HISTOGRAMS = 24
_MEANINGS = {
    "healthy": "healthy",
    "note": "note",
    "warning": "warning",
    "error": "error",
    "unexamined": "not examined",
}


def explained(docstring: str) -> Markup:
    """Return a rule's docstring (Markdown) as HTML without links, images or raw HTML."""
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"html": False})
    reader.disable(["link", "image", "autolink", "reference", "html_block", "html_inline"])
    body = reader.render(clean_lines(cleandoc(docstring)))
    return Markup(re.sub(r"<(/?)h\d>", r"<\1h4>", body))  # noqa: S704 - markdown-it escapes


def _mood(report: Report) -> str:
    """Return the state that colors the verdict."""
    worst = report.worst()
    if worst in (Severity.ERROR, Severity.WARNING):
        return str(worst)
    return "note" if report.inconclusive or report.interrupted else "healthy"


def _in_words(layers: tuple[LayerHealth, ...], quantity: str) -> str:
    """Return what a plot over depth shows, for those who cannot see it."""
    known = [(getattr(layer, quantity), layer.name) for layer in layers]
    known = [(value, name) for value, name in known if value is not None]
    if not known:
        return ""
    (low, lowest), (high, highest) = min(known), max(known)
    return (
        f"{counted(len(known), 'layer')}: lowest {amount(low)} in {lowest}, "
        f"highest {amount(high)} in {highest}"
    )


def _plots(layers: tuple[LayerHealth, ...]) -> dict[str, object]:
    """Return the SVG texts that the template places; they hold no text but matplotlib's own."""
    measured = [layer for layer in layers if layer.activations]
    drawn = [(layer, histogram(layer)) for layer in interesting(measured, _MOST_HISTOGRAMS)]
    return {
        "histograms": [(layer, Markup(svg)) for layer, svg in drawn if svg],  # noqa: S704
        "measured": len(measured),
        "gradient": Markup(along_depth(layers, "gradient", "gradient / weight norm")),  # noqa: S704
        "gradient_words": f"Gradient over depth, {_in_words(layers, 'gradient')}",
        "spread_words": f"Standard deviation over depth, {_in_words(layers, 'std')}",
        "spread": Markup(along_depth(layers, "std", "standard deviation")),  # noqa: S704
    }


def render(report: Report, explanations: Mapping[str, str]) -> str:
    """Return the report as a page that stands alone."""
    codes = {finding.code for finding in walk(report.findings)}
    states = [state(layer) for layer in report.layers]
    return (
        page("report.html").render(
            meanings=_MEANINGS,
            report=report,
            verdict=verdict(report),
            mood=_mood(report),
            facts=facts(report),
            coverage=coverage(report),
            reasons=reasons(report.skipped),
            states={name: states.count(name) for name in SYMBOLS if name in states},
            explanations={
                code: explained(text)
                for code, text in explanations.items()
                if code in codes and text
            },
            **_plots(report.layers),
        )
        + "\n"
    )
