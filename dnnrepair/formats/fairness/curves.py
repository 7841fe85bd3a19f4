"""ROC and calibration by group, and the course of a search, as plots and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.formats.drawing import INK, PAINTS, STYLE, figure, short, svg
from dnnrepair.formats.fairness.numbers import shown
from dnnrepair.formats.fairness.palette import DASHES, SERIES, SHAPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from dnnrepair.fairness_report import Curves, Search

_MOST_GROUPS = 6
_FEW = 2


def plot(found: Sequence[Curves], name: str) -> str:
    """Return ROC and calibration of at most six groups beside each other, "" if there are none."""
    drawn = found[:_MOST_GROUPS]
    if not drawn:
        return ""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        drawing = Figure(figsize=(7.6, 3.6), layout="constrained")
        first, second = drawing.subplots(1, 2)
        for axes in (first, second):
            axes.plot([0, 1], [0, 1], color=INK, lw=0.7, ls=(0, (3, 2)), alpha=0.6)
            axes.set_xlim(-0.03, 1.03)
            axes.set_ylim(-0.03, 1.03)
            axes.grid(visible=True)
        for place, one in enumerate(drawn):
            _roc(first, place, one)
            _calibration(second, place, one)
        first.set(xlabel="false positive rate", ylabel="true positive rate")
        second.set(xlabel="score", ylabel="share with the favorable label")
        for axes, said in ((first, "ROC"), (second, "Calibration")):
            axes.set_title(said, loc="left", fontsize=9, fontweight="bold")
        drawing.legend(*first.get_legend_handles_labels(), loc="outside lower center",
                       frameon=False, ncols=3)  # fmt: skip
        return svg(drawing, f"curves {name}")


def in_words(found: Sequence[Curves], name: str) -> str:
    """Return what the plot shows."""
    lines = []
    for one in found[:_MOST_GROUPS]:
        across, up = one.threshold
        bins = ", ".join(f"{b.share:.2f} at {b.score:.2f}" for b in one.bins)
        lines.append(
            f"{one.level}: area {shown(one.auc.value)}, at the threshold false positive rate "
            f"{shown(across)} and true positive rate {shown(up)}; share with the favorable label "
            f"by score: {bins}"
        )
    return f"ROC curves and calibration by {name}. {'. '.join(lines)}"


def course(search: Search, before: float) -> str:
    """Return the smallest gap that was found so far over the candidates, "" if there are too few.

    Args:
        search: with its history.
        before: the gap of the untouched network on the same rows, NaN if unknown.
    """
    if len(search.history) < _FEW:
        return ""
    from matplotlib import rc_context

    with rc_context(STYLE):
        drawing, axes = figure(7.6, 2.3)
        places = range(1, len(search.history) + 1)
        axes.step(places, search.history, where="post", color=PAINTS["series-1"], lw=1.6)
        axes.plot([len(search.history)], [search.history[-1]], marker="o", ms=5,
                  color=PAINTS["series-1"])  # fmt: skip
        if before == before:  # noqa: PLR0124 - not NaN
            axes.axhline(before, color=INK, lw=0.8, ls=(0, (3, 2)), alpha=0.7)
            axes.annotate("untouched", (len(search.history), before), ha="right", va="bottom",
                          fontsize=8, color=INK)  # fmt: skip
        axes.set_ylim(bottom=0)
        axes.set_xlabel("candidates tried")
        axes.set_ylabel("smallest gap so far")
        axes.grid(visible=True, axis="y")
        return svg(drawing, "course")


def course_in_words(search: Search) -> str:
    """Return what the course of a search shows."""
    history = search.history
    middle = history[len(history) // 2]
    return (
        f"Smallest gap on rows that select over {len(history)} candidates: {shown(history[0])} "
        f"after the first, {shown(middle)} after half of them, {shown(history[-1])} at the end"
    )


def _roc(axes: Axes, place: int, one: Curves) -> None:
    across, up = zip(*one.roc, strict=True)
    paint = PAINTS[SERIES[place % len(SERIES)]]
    axes.plot(across, up, color=paint, lw=1.3, ls=DASHES[place % len(DASHES)],
              label=f"{short(one.level)}, {one.auc.value:.3f}")  # fmt: skip
    axes.plot([one.threshold[0]], [one.threshold[1]], marker=SHAPES[place % len(SHAPES)], ms=6,
              color=paint, lw=0, zorder=4)  # fmt: skip


def _calibration(axes: Axes, place: int, one: Curves) -> None:
    paint = PAINTS[SERIES[place % len(SERIES)]]
    ends = [(max(b.share - b.low, 0.0), max(b.high - b.share, 0.0)) for b in one.bins]
    axes.errorbar(
        [b.score for b in one.bins],
        [b.share for b in one.bins],
        yerr=list(zip(*ends, strict=True)) or None,
        color=paint,
        marker=SHAPES[place % len(SHAPES)],
        ms=4,
        lw=1.1,
        ls=DASHES[place % len(DASHES)],
        elinewidth=0.8,
    )
