"""Dot-and-whisker plots of groups, and in words for those who cannot see them."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from dnnrepair.formats.drawing import INK, PAINTS, STYLE, figure, short, svg
from dnnrepair.formats.fairness import NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnnrepair.fairness_report import Group

_LEFT_OUT = frozenset({"base_rate", "calibration_error"})
_SHAPES = ("o", "s", "^", "D", "v", "P", "X")
_SERIES = tuple(name for name in PAINTS if name.startswith("series"))
_MOST_GROUPS = 12


def plot(groups: Sequence[Group], name: str) -> str:
    """Return the rates of groups with their 95 % intervals, a row for each rate; "" if none."""
    drawn = [group for group in groups if group.n][:_MOST_GROUPS]
    rates = _rates(drawn)
    if not rates or not drawn:
        return ""
    from matplotlib import rc_context

    with rc_context(STYLE):
        height = 0.7 + len(rates) * (0.25 + 0.17 * len(drawn))
        drawing, axes = figure(7.6, height)
        step = 0.8 / len(drawn)
        for place, group in enumerate(drawn):
            found = {rate.id: rate for rate in group.rates}
            shown = [(row, found[rate]) for row, rate in enumerate(rates)]
            shown = [(row, one) for row, one in shown if isfinite(one.value)]
            ends = [(max(one.value - one.low, 0), max(one.high - one.value, 0)) for _, one in shown]
            axes.errorbar(
                [one.value for _, one in shown],
                [row - 0.4 + step * (place + 0.5) for row, _ in shown],
                xerr=list(zip(*ends, strict=True)) or None,
                fmt=_SHAPES[place % len(_SHAPES)],
                color=PAINTS[_SERIES[place % len(_SERIES)]],
                markersize=5,
                elinewidth=1.2,
                alpha=1 if group.eligible else 0.45,
                label=short(group.level),
            )
        for row in range(1, len(rates)):
            axes.axhline(row - 0.5, color=INK, linewidth=0.5, alpha=0.2)
        axes.set_yticks(range(len(rates)), [NAMES.get(rate, rate) for rate in rates])
        axes.set_ylim(len(rates) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=True, axis="x")
        drawing.legend(loc="outside right upper", frameon=False)
        return svg(drawing, f"groups {name}")


def in_words(groups: Sequence[Group], name: str) -> str:
    """Return what the plot shows."""
    drawn = [group for group in groups if group.n][:_MOST_GROUPS]
    lines = []
    for rate in _rates(drawn):
        found = [(g.level, g.rate(rate)) for g in drawn if isfinite(g.rate(rate).value)]
        told = ", ".join(
            f"{level} {one.value:.3f} ({one.low:.3f} to {one.high:.3f})" for level, one in found
        )
        lines.append(f"{NAMES.get(rate, rate)}: {told}")
    return f"Rates by {name} with 95 % intervals. {'; '.join(lines)}"


def _rates(groups: Sequence[Group]) -> list[str]:
    """Return the rates that some group has and that share an axis from 0 to 1 or a unit."""
    found = groups[0].rates if groups else ()
    wanted = [rate.id for rate in found if rate.id not in _LEFT_OUT]
    return [n for n in wanted if any(isfinite(group.rate(n).value) for group in groups)]
