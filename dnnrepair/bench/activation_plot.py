"""Accuracy by activation, as an SVG file that stands alone."""

from __future__ import annotations

from math import isnan
from statistics import mean
from typing import TYPE_CHECKING

from dnnrepair.formats.drawing import PAINTS, STYLE, figure, svg

if TYPE_CHECKING:
    from collections.abc import Sequence

_STYLE = (
    "<style>svg{color:#1b2430;background:#fff;font-family:system-ui,sans-serif;"
    "--series-1:#1d5fae;--series-2:#b4540a}@media (prefers-color-scheme:dark){svg{color:#e4e9f0;"
    "background:#1a2029;--series-1:#6fa8f0;--series-2:#f0a35c}}</style>"
)


def plot(title: str, runs: Sequence[tuple[str, str, float]]) -> str:
    """Return the accuracy of each run, (activation, network, accuracy in [0, 1]), as SVG.

    Activations stand from the least accurate at the bottom to the most accurate; runs that were
    not finite are left out.
    """
    from matplotlib import rc_context

    finite = [run for run in runs if not isnan(run[2])]
    names = sorted(
        {name for name, _, _ in finite},
        key=lambda name: mean(accuracy for n, _, accuracy in finite if n == name),
    )
    networks = list(dict.fromkeys(network for _, network, _ in finite))
    with rc_context(STYLE):
        drawing, axes = figure(7.0, 0.6 + 0.22 * len(names))
        for place, network in enumerate(networks):
            points = [(100 * a, names.index(n)) for n, other, a in finite if other == network]
            across, up = zip(*points, strict=True)
            axes.scatter(
                across,
                up,
                s=26,
                marker="os"[place % 2],
                facecolors="none" if place % 2 else PAINTS["series-1"],
                edgecolors=PAINTS[f"series-{place % 2 + 1}"],
                label=network,
                zorder=3,
            )
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(-0.7, len(names) - 0.3)
        axes.set_xlabel(f"accuracy on {title}, %; a mark for each seed")
        axes.grid(visible=True)
        axes.legend(frameon=False, loc="upper left")
        drawn = svg(drawing, f"activations {title}")
    head, _, rest = drawn.partition(">")
    return f"{head}>{_STYLE}{rest}\n"
