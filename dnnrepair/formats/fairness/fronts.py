"""Accuracy against the gap: the candidates of a repair, and the random trade-offs beside it."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

from dnnrepair.formats.drawing import INK, PAINTS, STYLE, figure, short, svg
from dnnrepair.formats.fairness.changes import gap_of, overall_of
from dnnrepair.formats.fairness.choices import named_points
from dnnrepair.formats.fairness.numbers import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dnnrepair.fairness_report import BaselineResult, Fairea, FairnessReport

_OTHERS = ("^", "v", "D", "P", "X", "<", ">", "p", "h")
_NAMES_ROOM = 0.14  # right of the points, for names of regions, as a share of their extent
_ROOM = 0.08  # around the points, as a share of their extent


def front(report: FairnessReport) -> str:
    """Return the candidates on rows that select and on rows that judge; "" if there are none."""
    points = [point for _, point in named_points(report)]
    if not points:
        return ""
    from matplotlib import rc_context

    with rc_context(STYLE):
        drawing, axes = figure(7.6, 3.9)
        select = [(one.select_gap, one.select_accuracy) for one in points]
        judge = [(one.test_gap, one.test_accuracy) for one in points if isfinite(one.test_gap)]
        axes.plot(*zip(*sorted(select), strict=True), color=PAINTS["series-1"], marker="o", ms=5,
                  lw=1.2, zorder=3, label="front, rows that select")  # fmt: skip
        if judge:
            axes.plot(*zip(*judge, strict=True), color=PAINTS["series-2"], marker="s", ms=5, lw=0,
                      zorder=3, label="the same, rows that judge")  # fmt: skip
        for one in points:
            if one.chosen:
                _ring(axes, one.test_gap, one.test_accuracy, "chosen, rows that judge")
        _untouched(axes, report)
        for place, other in enumerate(report.baselines):
            if other.id != "unmodified" and isfinite(other.gap):
                axes.plot([other.gap], [other.accuracy], marker=_OTHERS[place % len(_OTHERS)],
                          ms=6, mfc="none", mec=INK, lw=0, zorder=2,
                          label=short(_name(other)))  # fmt: skip
        _finish(axes)
        drawing.legend(loc="outside right upper", frameon=False)
        return svg(drawing, "front")


def front_in_words(report: FairnessReport) -> str:
    """Return what the plot of the front shows."""
    lines = []
    for budgets, one in named_points(report):
        role = "chosen" if one.chosen else f"for a budget of {budgets}" if budgets else "front"
        lines.append(
            f"{role}: gap {shown(one.select_gap)} and accuracy {shown(one.select_accuracy)} on "
            f"rows that select, {shown(one.test_gap)} and {shown(one.test_accuracy)} on rows that "
            "judge"
        )
    lines += [
        f"{_name(other)}: gap {shown(other.gap)}, accuracy {shown(other.accuracy)}"
        for other in report.baselines
        if isfinite(other.gap)
    ]
    return f"Accuracy over the gap; up and to the left is better. {'; '.join(lines)}"


def plane(found: Fairea) -> str:
    """Return Fairea's plane: the line of random trade-offs, its regions, and the repair."""
    from matplotlib import rc_context

    with rc_context(STYLE):
        drawing, axes = figure(7.6, 3.9)
        accuracies, gaps = zip(*found.baseline, strict=True)
        axes.plot(gaps, accuracies, color=PAINTS["series-1"], marker=".", ms=6, lw=1.2, zorder=3,
                  label="decisions overwritten at random")  # fmt: skip
        accuracy, gap = found.point
        axes.plot([gaps[0]], [accuracies[0]], marker="+", color=INK, ms=9, lw=0, zorder=4,
                  label="untouched network")  # fmt: skip
        axes.plot([gap], [accuracy], marker="D", color=PAINTS["series-2"], ms=7, lw=0, zorder=5,
                  label="this repair")  # fmt: skip
        _finish(axes)
        left, right = axes.get_xlim()
        axes.set_xlim(left, right + _NAMES_ROOM * (right - left))
        _regions(axes, found)
        drawing.legend(loc="outside right upper", frameon=False)
        return svg(drawing, "plane")


def plane_in_words(found: Fairea) -> str:
    """Return what the plane shows."""
    (first, first_gap), (last, last_gap) = found.baseline[0], found.baseline[-1]
    accuracy, gap = found.point
    return (
        f"Random trade-offs go from gap {shown(first_gap)} and accuracy {shown(first)} to gap "
        f"{shown(last_gap)} and accuracy {shown(last)}; this repair has gap {shown(gap)} and "
        f"accuracy {shown(accuracy)}: {found.region}"
    )


def _name(other: BaselineResult) -> str:
    return other.id.removesuffix("_last_layer").replace("_", " ")


def _regions(axes: Axes, found: Fairea) -> None:
    """Name the regions where they have room, and shade what beats the random line."""
    start, start_gap = found.baseline[0]
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    line = sorted((gap, accuracy) for accuracy, gap in found.baseline)
    across = [left, *(gap for gap, _ in line)]
    under = [line[0][1], *(accuracy for _, accuracy in line)]
    inside = [(x, y) for x, y in zip(across, under, strict=True) if x <= start_gap]
    axes.fill_between([x for x, _ in inside], [y for _, y in inside], high,
                      color=PAINTS["healthy"], alpha=0.09, linewidth=0)  # fmt: skip
    axes.axvline(start_gap, color=INK, lw=0.6, ls=(0, (3, 2)), alpha=0.6)
    axes.axhline(start, color=INK, lw=0.6, ls=(0, (3, 2)), alpha=0.6)
    corner: dict[str, Any] = {"color": INK, "alpha": 0.65, "fontsize": 8}
    near = 0.012 * (right - left)
    axes.text(left + near, high, "win-win", va="top", ha="left", **corner)
    axes.text(right - near, high, "inverted", va="top", ha="right", **corner)
    axes.text(right - near, low, "lose-lose", va="bottom", ha="right", **corner)
    axes.text(left + near, start, "good", va="top", ha="left", **corner)
    axes.text(start_gap - near, low, "bad", va="bottom", ha="right", **corner)
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)


def _untouched(axes: Axes, report: FairnessReport) -> None:
    for measured in report.before:
        gap, accuracy = gap_of(report, measured), overall_of(measured, "accuracy")
        if measured.part in ("select", "test") and isfinite(gap) and isfinite(accuracy):
            paint = PAINTS["series-1" if measured.part == "select" else "series-2"]
            part = "select" if measured.part == "select" else "judge"
            axes.plot([gap], [accuracy], marker="+", color=paint, ms=10, mew=1.8, lw=0, zorder=4,
                      label=f"untouched, rows that {part}")  # fmt: skip


def _ring(axes: Axes, gap: float, accuracy: float, label: str) -> None:
    axes.scatter([gap], [accuracy], s=150, facecolors="none", edgecolors=INK, linewidths=1.4,
                 zorder=5, label=label)  # fmt: skip


def _finish(axes: Axes) -> None:
    axes.set_xlabel("gap (narrower to the left)")
    axes.set_ylabel("accuracy")
    axes.margins(_ROOM, _ROOM)
    axes.autoscale_view()
    left, right = axes.get_xlim()
    axes.set_xlim(min(left, -0.02 * (right - left)) if left < 0.25 * right else left, right)
    axes.grid(visible=True)
