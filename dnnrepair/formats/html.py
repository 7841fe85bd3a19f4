"""One HTML file: no network, no script, readable on paper and in the dark."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from inspect import cleandoc
from typing import TYPE_CHECKING

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from dnnrepair.finding import Severity
from dnnrepair.formats.plots import along_depth, histogram, interesting
from dnnrepair.formats.words import (
    SYMBOLS,
    abbreviated,
    amount,
    clean_lines,
    counted,
    coverage,
    dimensions,
    facts,
    place,
    reasons,
    state,
    verdict,
    walk,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Template

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


@cache
def _template() -> Template:
    """Return the page, which sees the words that all formats share."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        amount=amount,
        counted=counted,
        dimensions=dimensions,
        place=place,
        state=state,
        units=abbreviated,
    )
    environment.globals.update(symbols=SYMBOLS, meanings=_MEANINGS)
    source = files("dnnrepair.formats").joinpath("report.html").read_text("utf-8")
    return environment.from_string(source)


def render(report: Report, explanations: Mapping[str, str]) -> str:
    """Return the report as a page that stands alone."""
    codes = {finding.code for finding in walk(report.findings)}
    states = [state(layer) for layer in report.layers]
    return (
        _template().render(
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
