"""Plots of a diagnosis: how a layer's values are spread, and what happens across depth."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from dnnrepair.formats.drawing import INK, PAINTS, STYLE, figure, short, svg
from dnnrepair.formats.words import state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from dnnrepair.report import Histogram, LayerHealth

_SHAPES = {"healthy": "o", "note": "o", "warning": "^", "error": "X", "unexamined": "."}
_MOST_TICKS = 24


def interesting(layers: Sequence[LayerHealth], most: int) -> tuple[LayerHealth, ...]:
    """Choose layers to draw: those with findings first, then evenly over depth."""
    if len(layers) <= most:
        return tuple(layers)
    ranks = {place: layer.mark.rank for place, layer in enumerate(layers) if layer.mark}
    chosen = sorted(ranks, key=lambda place: (ranks[place], place))[:most]
    healthy = [place for place in range(len(layers)) if place not in ranks]
    room = min(most - len(chosen), len(healthy))
    chosen.extend(healthy[i * len(healthy) // room] for i in range(room))
    return tuple(layers[place] for place in sorted(chosen))


def histogram(layer: LayerHealth) -> str:
    """Return the distribution of a layer's values, ``""`` if there is none."""
    found = layer.activations
    if found is None or not any(found.counts) or not _drawable(found):
        return ""
    from matplotlib import rc_context

    with rc_context(STYLE):
        drawing, axes = figure(2.6, 1.25)
        step = (found.high - found.low) / len(found.counts)
        edges = [found.low + i * step for i in range(len(found.counts) + 1)]
        paint = PAINTS[state(layer)]
        total = sum(found.counts)
        shares = [count / total for count in found.counts]
        axes.stairs(shares, edges, fill=True, color=paint, alpha=0.45)
        axes.stairs(shares, edges, color=paint, linewidth=1)
        if found.low < 0 < found.high:
            axes.axvline(0, color=INK, linewidth=0.6, linestyle=(0, (3, 2)))
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_ylim(bottom=0)
        axes.locator_params(axis="x", nbins=5)
        return svg(drawing, f"histogram {layer.name}")


def _drawable(found: Histogram) -> bool:
    widest = 1e30  # far from overflow in matplotlib's arithmetic
    finite = isfinite(found.low) and isfinite(found.high)
    narrow = 1e-9 * max(abs(found.low), abs(found.high))
    return (
        finite
        and -widest < found.low
        and found.high < widest
        and (found.high - found.low > max(narrow, 1e-30))
    )


def along_depth(layers: Sequence[LayerHealth], quantity: str, label: str) -> str:
    """Return one quantity of the layers (``gradient`` or ``std``) over depth, on a log axis.

    ``""`` if fewer than two layers have it.
    """
    points = [
        (place, value, layer)
        for place, layer in enumerate(layers, start=1)
        if (value := getattr(layer, quantity)) is not None and 1e-30 < value < 1e30  # noqa: PLR2004
    ]
    if len(points) < 2:  # noqa: PLR2004
        return ""
    from matplotlib import rc_context

    with rc_context(STYLE):
        drawing, axes = figure(7.6, 2.5)
        axes.plot(
            [x for x, _, _ in points], [y for _, y, _ in points], color=INK, lw=0.8, alpha=0.5
        )
        for name, shape in _SHAPES.items():
            here = [(x, y) for x, y, layer in points if state(layer) == name]
            size = 26 if len(points) <= 2 * _MOST_TICKS else 12
            across, up = [x for x, _ in here], [y for _, y in here]
            axes.scatter(across, up, s=size, c=PAINTS[name], marker=shape, zorder=3)
        _log_scale(axes, [y for _, y, _ in points])
        axes.grid(visible=True, axis="y")
        axes.set_ylabel(label)
        _name_depths(axes, points)
        return svg(drawing, f"{quantity} {label}")


def _log_scale(axes: Axes, values: Sequence[float]) -> None:
    """Make the axis logarithmic, with plain numbers: powers of ten need mathematical type."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = min(values) / 1.5, max(values) * 1.5
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    within = (1.0, 2.0, 5.0) if high / low < 100 else (1.0,)  # noqa: PLR2004
    axes.yaxis.set_major_locator(LogLocator(subs=within, numticks=8))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _name_depths(axes: Axes, points: Sequence[tuple[int, float, LayerHealth]]) -> None:
    """Write layer names below the axis, or numbers of the layer table where they are too many."""
    if len(points) > _MOST_TICKS:
        axes.set_xlabel("number in the layer table, input to output")
        return
    names = [short(layer.name) for _, _, layer in points]
    axes.set_xticks([x for x, _, _ in points], names, rotation=35, ha="right")
