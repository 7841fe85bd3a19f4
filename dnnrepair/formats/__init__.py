"""A report in, a string out; one file per format."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING

from dnnrepair.errors import UnknownNameError
from dnnrepair.fairness_report import FairnessReport
from dnnrepair.formats.words import cleaned
from dnnrepair.patch_report import PatchReport
from dnnrepair.repair_report import RepairReport
from dnnrepair.report import Report
from dnnrepair.swap_report import SwapReport

if TYPE_CHECKING:
    from collections.abc import Mapping

_MODULES = {  # imported on use: only html needs matplotlib, only json needs pydantic
    Report: {
        "github": "github",
        "html": "html",
        "json": "stored",
        "markdown": "markdown",
        "sarif": "sarif",
        "text": "text",
    },
    FairnessReport: {
        "html": "fairness.html",
        "json": "stored",
        "markdown": "fairness.markdown",
        "text": "fairness.text",
    },
    PatchReport: {
        "html": "repair_html",
        "json": "stored",
        "markdown": "repair_markdown",
        "text": "repair_text",
    },
    RepairReport: {
        "html": "course_html",
        "json": "stored",
        "markdown": "course_markdown",
        "text": "course_text",
    },
    SwapReport: {
        "html": "swap_html",
        "json": "stored",
        "markdown": "swap_markdown",
        "text": "swap_text",
    },
}
AnyReport = Report | PatchReport | RepairReport | SwapReport | FairnessReport
_EXACT = frozenset({"json", "sarif"})  # JSON escapes what is not printable, and keeps it


def names(kind: type[AnyReport] = Report) -> tuple[str, ...]:
    """Return the names of the formats that a kind of report has, in order."""
    return tuple(_MODULES[kind])


def render(
    report: AnyReport,
    name: str = "text",
    *,
    explanations: Mapping[str, str] | None = None,
    width: int = 80,
    color: bool = False,
    ascii_only: bool = False,
) -> str:
    """Return a report in one format.

    Args:
        report: what to draw: a diagnosis, a repair, changes of structure, or an audit.
        name: one of :func:`names`.
        explanations: a rule's docstring by its code, for the formats that explain.
        width: columns of the terminal; text only.
        color: use terminal colors; text only.
        ascii_only: for an output that cannot show Unicode; text only.

    Raises:
        UnknownNameError: if this kind of report has no such format.
    """
    known = _MODULES[type(report)]
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
        message = f"no format is called {name!r} here; {hint}"
        raise UnknownNameError(message)
    module = import_module(f"{__name__}.{known[name]}")
    shown = report if name in _EXACT else cleaned(report)
    options = {"width": width, "color": color, "ascii_only": ascii_only} if name == "text" else {}
    drawn: str = module.render(shown, explanations or {}, **options)
    return drawn
