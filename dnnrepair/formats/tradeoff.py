"""The trade-off between fixing and breaking as a plot, and in words for those who cannot see it."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from dnnrepair.formats.drawing import INK, PAINTS, STYLE, figure, short, svg
from dnnrepair.formats.shares import percent
from dnnrepair.formats.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from dnnrepair.patch_report import PatchReport, Point
    from dnnrepair.rate import Rate

_SERIES = tuple(name for name in PAINTS if name.startswith("series"))
_SHAPES = ("o", "s", "^", "D", "v", "P", "X")  # as many as are prime to the colors
_MOST_BARS = 40  # points, above which error bars would hide each other


def plot(report: PatchReport) -> str:
    """Return targets fixed over right ones broken, on the held-out part, a line for each method.

    ``""`` if there is nothing to draw.
    """
    series = _series(report.points)
    if not series:
        return ""
    from matplotlib import rc_context

    with rc_context(STYLE):
        drawing, axes = figure(7.6, 4.2)
        bars = sum(map(len, series.values())) <= _MOST_BARS
        for place, (method, found) in enumerate(series.items()):
            _draw_method(axes, place, method, found, bars=bars)
        axes.scatter([0], [0], marker="+", c=INK, s=60, zorder=4, label="untouched network")
        for point in filter(_drawable, report.points):
            if point.chosen:
                _mark_chosen(axes, point)
        if report.max_broken is not None and isfinite(report.max_broken):
            axes.axvline(100 * report.max_broken, color=INK, lw=0.8, ls=(0, (3, 2)), alpha=0.7,
                         label="limit of what may break")  # fmt: skip
        axes.set_xlabel("right inputs broken, %")
        axes.set_ylabel("targets fixed, %")
        axes.set_ylim(-3, 103)
        axes.set_xlim(left=-0.03 * axes.get_xlim()[1])
        axes.grid(visible=True)
        drawing.legend(loc="outside right upper", frameon=False)
        return svg(drawing, "trade-off")


def in_words(report: PatchReport) -> str:
    """Return what the plot shows."""
    lines = [_told(method, found) for method, found in _series(report.points).items()]
    chosen = report.chosen
    if chosen is not None and _drawable(chosen):
        lines.append(f"chosen: {chosen.method} {chosen.name}, {_place(chosen)}")
    return f"Trade-off on the held-out part. {'; '.join(lines)}"


def _series(points: Sequence[Point]) -> dict[str, list[Point]]:
    """Return the points of each method, from the least harm to the most."""
    found: dict[str, list[Point]] = {}
    for point in filter(_drawable, points):
        found.setdefault(point.method, []).append(point)
    for method, some in found.items():
        found[method] = sorted(some, key=_across_and_up)
    return found


def _drawable(point: Point) -> bool:
    return point.held_out.broken.tries > 0 and point.held_out.targets.tries > 0


def _across_and_up(point: Point) -> tuple[float, float]:
    return 100 * point.held_out.broken.value, 100 * point.held_out.targets.value


def _draw_method(
    axes: Axes, place: int, method: str, found: Sequence[Point], *, bars: bool
) -> None:
    across, up = zip(*map(_across_and_up, found), strict=True)
    paint = PAINTS[_SERIES[place % len(_SERIES)]]
    shape = _SHAPES[place % len(_SHAPES)]
    axes.plot(across, up, color=paint, marker=shape, ms=5, lw=1.4, zorder=3, label=short(method))
    if bars:
        axes.errorbar(
            across,
            up,
            xerr=_errors([point.held_out.broken for point in found]),
            yerr=_errors([point.held_out.targets for point in found]),
            fmt="none",
            ecolor=paint,
            elinewidth=0.8,
            alpha=0.45,
            zorder=2,
        )


def _errors(rates: Sequence[Rate]) -> tuple[list[float], list[float]]:
    """Return how far the intervals reach below and above, in percent."""
    ends = [(rate.value, *rate.interval()) for rate in rates]
    below = [max(100 * (value - low), 0.0) for value, low, _ in ends]
    return below, [max(100 * (high - value), 0.0) for value, _, high in ends]


def _mark_chosen(axes: Axes, point: Point) -> None:
    across, up = _across_and_up(point)
    axes.scatter([across], [up], s=150, facecolors="none", edgecolors=INK, linewidths=1.4,
                 zorder=5, label="chosen")  # fmt: skip


def _told(method: str, found: Sequence[Point]) -> str:
    first, last = found[0], found[-1]
    to = f" to {_place(last)}" if len(found) > 1 else ""
    return f"{method}: {counted(len(found), 'change')}, from {_place(first)}{to}"


def _place(point: Point) -> str:
    fixed, broken = point.held_out.targets, point.held_out.broken
    return f"{percent(fixed.value)} % fixed with {percent(broken.value)} % broken"
