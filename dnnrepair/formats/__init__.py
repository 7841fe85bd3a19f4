"""A report in, a string out; one file per format."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING

from dnnrepair.errors import UnknownNameError
from dnnrepair.formats.words import cleaned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dnnrepair.report import Report

_MODULES = {  # imported on use: only html needs matplotlib, only json needs pydantic
    "github": "github",
    "html": "html",
    "json": "stored",
    "markdown": "markdown",
    "sarif": "sarif",
    "text": "text",
}
_EXACT = frozenset({"json", "sarif"})  # JSON escapes what is not printable, and keeps it


def names() -> tuple[str, ...]:
    """Return the names of the formats, in order."""
    return tuple(_MODULES)


def render(
    report: Report,
    name: str = "text",
    *,
    explanations: Mapping[str, str] | None = None,
    width: int = 80,
    color: bool = False,
    ascii_only: bool = False,
) -> str:
    """Return a report in one format.

    Args:
        report: what to draw.
        name: one of :func:`names`.
        explanations: a rule's docstring by its code, for the formats that explain.
        width: columns of the terminal; text only.
        color: use terminal colors; text only.
        ascii_only: for an output that cannot show Unicode; text only.

    Raises:
        UnknownNameError: if there is no such format.
    """
    if name not in _MODULES:
        near = get_close_matches(name, _MODULES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(_MODULES)}"
        message = f"no format is called {name!r}; {hint}"
        raise UnknownNameError(message)
    module = import_module(f"{__name__}.{_MODULES[name]}")
    shown = report if name in _EXACT else cleaned(report)
    options = {"width": width, "color": color, "ascii_only": ascii_only} if name == "text" else {}
    drawn: str = module.render(shown, explanations or {}, **options)
    return drawn
