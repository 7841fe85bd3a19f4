"""Dot-and-whisker plots of groups, and in words for those who cannot see them."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from dnnrepair.formats.drawing import INK, PAINTS, STYLE, figure, short, svg
from dnnrepair.formats.fairness.numbers import NAMES
from dnnrepair.formats.fairness.palette import SERIES, SHAPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from dnnrepair.fairness_report import Estimate, Group

_LEFT_OUT = frozenset({"base_rate", "calibration_error"})
_MOST_GROUPS = 12
_LANE, _THIN = 0.17, 0.125  # inches for the dot of a group
_FEW = 6  # lanes, above which they are thin
_PALE = 0.45  # opacity of groups that are too small to judge


def plot(groups: Sequence[Group], name: str, after: Sequence[Group] = ()) -> str:
    """Return the rates of groups with their 95 % intervals, a row for each rate; "" if none.

    Args:
        groups: at most twelve are drawn; hollow where ``after`` is given.
        name: of the attribute.
        after: the same groups after a repair.
    """
    drawn = _drawn(groups)
    rates = _rates(drawn)
    if not rates:
        return ""
    from matplotlib import rc_context

    repaired = {group.level: group for group in after}
    lanes = len(drawn) * (2 if after else 1)
    with rc_context(STYLE):
        drawing, axes = figure(
            7.6, 0.7 + len(rates) * (0.25 + lanes * (_LANE if lanes <= _FEW else _THIN))
        )
        step = 0.8 / lanes
        for place, group in enumerate(drawn):
            turn = place * (2 if after else 1)
            label = short(group.level)
            now = repaired.get(group.level)
            if now is None:
                _whiskers(axes, rates, group, place, step * (turn + 0.5), label, hollow=False)
            else:
                _whiskers(axes, rates, group, place, step * (turn + 0.5), f"{label}, before",
                          hollow=True)  # fmt: skip
                _whiskers(axes, rates, now, place, step * (turn + 1.5), f"{label}, after",
                          hollow=False)  # fmt: skip
        for row in range(1, len(rates)):
            axes.axhline(row - 0.5, color=INK, linewidth=0.5, alpha=0.2)
        axes.set_yticks(range(len(rates)), [NAMES.get(rate, rate) for rate in rates])
        axes.set_ylim(len(rates) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=True, axis="x")
        drawing.legend(loc="outside right upper", frameon=False)
        return svg(drawing, f"groups {name}")


def in_words(groups: Sequence[Group], name: str, after: Sequence[Group] = ()) -> str:
    """Return what the plot shows."""
    drawn = _drawn(groups)
    repaired = {group.level: group for group in after}
    lines = []
    for rate in _rates(drawn):
        told = [
            _told(group.level, group.rate(rate), repaired.get(group.level), rate)
            for group in drawn
            if isfinite(group.rate(rate).value)
        ]
        lines.append(f"{NAMES.get(rate, rate)}: {', '.join(told)}")
    change = ", before and after the repair" if after else ""
    return f"Rates by {name} with 95 % intervals{change}. {'; '.join(lines)}"


def _drawn(groups: Sequence[Group]) -> list[Group]:
    return [group for group in groups if group.n][:_MOST_GROUPS]


def _told(level: str, one: Estimate, after: Group | None, rate: str) -> str:
    before = f"{level} {one.value:.3f} ({one.low:.3f} to {one.high:.3f})"
    if after is None:
        return before
    now = after.rate(rate)
    return f"{before}, after {now.value:.3f} ({now.low:.3f} to {now.high:.3f})"


def _whiskers(
    axes: Axes, rates: Sequence[str], group: Group, place: int, down: float, label: str,
    *, hollow: bool,
) -> None:  # fmt: skip
    found = [(row, group.rate(rate)) for row, rate in enumerate(rates)]
    shown = [(row, one) for row, one in found if isfinite(one.value)]
    ends = [(max(one.value - one.low, 0), max(one.high - one.value, 0)) for _, one in shown]
    paint = PAINTS[SERIES[place % len(SERIES)]]
    axes.errorbar(
        [one.value for _, one in shown],
        [row - 0.4 + down for row, _ in shown],
        xerr=list(zip(*ends, strict=True)) or None,
        fmt=SHAPES[place % len(SHAPES)],
        color=paint,
        markerfacecolor="none" if hollow else paint,
        markersize=5,
        elinewidth=1.2,
        alpha=1 if group.eligible else _PALE,
        label=label,
    )


def _rates(groups: Sequence[Group]) -> list[str]:
    """Return the rates that some group has and that share an axis from 0 to 1 or a unit."""
    found = groups[0].rates if groups else ()
    wanted = [rate.id for rate in found if rate.id not in _LEFT_OUT]
    return [n for n in wanted if any(isfinite(group.rate(n).value) for group in groups)]
