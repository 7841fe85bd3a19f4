"""SVG to stand inside a page: its colors and font, no network, the same bytes twice.

matplotlib draws; what the page must decide (font, ink, accents) is then handed over to its CSS.
"""

from __future__ import annotations

import re
from io import StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#010203"  # stands for the page's text color
PAINTS = {  # stand for the page's colors, by the names of its CSS
    "healthy": "#0a0b01",
    "note": "#0a0b02",
    "warning": "#0a0b03",
    "error": "#0a0b04",
    "unexamined": "#0a0b05",
    "series-1": "#0a0b11",
    "series-2": "#0a0b12",
    "series-3": "#0a0b13",
    "series-4": "#0a0b14",
    "series-5": "#0a0b15",
    "series-6": "#0a0b16",
}
_LONGEST_LABEL = 22
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 8.5,
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "grid.linewidth": 0.6,
}


def figure(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure of so many inches, outside pyplot's global state."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(width, height), layout="constrained")
    return drawing, drawing.add_subplot()


def svg(drawing: Figure, salt: str) -> str:
    """Return a figure as an SVG element that is silent to screen readers: its caption speaks."""
    from matplotlib import rc_context

    stream = StringIO()
    nothing: dict[str, Any] = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with rc_context({"svg.hashsalt": salt}):
        drawing.savefig(stream, format="svg", transparent=True, metadata=nothing)
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", text)
    text = text.replace(INK, "currentColor")
    for name, paint in PAINTS.items():
        text = text.replace(paint, f"var(--{name})")
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
    return text.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1).strip()


def short(name: str) -> str:
    """Return the end of a name, in letters that matplotlib's own font can measure."""
    plain = name.encode("ascii", "replace").decode()
    return plain if len(plain) <= _LONGEST_LABEL else f"...{plain[-_LONGEST_LABEL:]}"
