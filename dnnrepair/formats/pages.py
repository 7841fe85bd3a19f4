"""Pages that stand alone: one frame and style, no network, no script."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from dnnrepair.formats.words import (
    SYMBOLS,
    abbreviated,
    amount,
    counted,
    dimensions,
    place,
    state,
)

if TYPE_CHECKING:
    from jinja2 import Template


def mark(name: str) -> Markup:
    """Return the symbol of a state in its color; what it says is said in words beside it."""
    span = Markup('<span class="mark {}" aria-hidden="true">{}</span>')
    return span.format(name, SYMBOLS[name])


@cache
def page(name: str) -> Template:
    """Return a page of this package, which sees the words that all formats share."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(
            lambda file: files("dnnrepair.formats").joinpath(file).read_text("utf-8")
        ),
    )
    environment.filters.update(
        amount=amount,
        counted=counted,
        dimensions=dimensions,
        place=place,
        state=state,
        units=abbreviated,
    )
    environment.globals.update(symbols=SYMBOLS, mark=mark)
    return environment.get_template(name)
