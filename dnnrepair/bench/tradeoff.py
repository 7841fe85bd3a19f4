"""Curves of what is fixed over what is broken, and how far one lies above another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import t as student

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dnnrepair.bench.repairs import Run

    Floats = NDArray[np.float64]

GRID = (0.0025, 0.005, 0.01, 0.015, 0.02, 0.03)  # shares of held-out inputs that break
LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """How far one curve lies above another, over paired runs.

    Attributes:
        mean: at each share of broken inputs, in shares of the targets.
        half: half the width of the interval of each.
    """

    mean: tuple[float, ...]
    half: tuple[float, ...]

    @property
    def least(self) -> float:
        """The lowest upper end: below 0 if the curve is surely below the other somewhere."""
        return min(mean + half for mean, half in zip(self.mean, self.half, strict=True))

    @property
    def overall(self) -> float:
        """The mean over the curve."""
        return float(np.mean(self.mean))


def curve(run: Run) -> Floats:
    """Return the share of targets fixed at each broken share of :data:`GRID`.

    Between two proposals on the upper hull lies what a coin that takes one or the other gives; the
    untouched network is one of the proposals.
    """
    points = [(0.0, 0.0)] + [
        (point.held_out.broken.value, point.held_out.targets.value) for point in run.points
    ]
    x, y = map(np.asarray, zip(*_hull(points), strict=True))
    found: Floats = np.interp(GRID, x, y)
    return found


def lead(ours: Sequence[Run], theirs: Sequence[Run]) -> Lead:
    """Return how far our curve lies above theirs, for the same error types and seeds."""
    paired = {(run.data, run.kind, run.seed): run for run in theirs}
    gaps = np.stack([curve(run) - curve(paired[run.data, run.kind, run.seed]) for run in ours])
    reach = float(student.ppf(0.5 + LEVEL / 2, max(len(gaps) - 1, 1)))
    half = reach * gaps.std(0, ddof=1) / np.sqrt(len(gaps)) if len(gaps) > 1 else gaps[0] * 0
    return Lead(mean=tuple(gaps.mean(0).tolist()), half=tuple(half.tolist()))


def _hull(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the upper left hull, from left to right, and level from its top on."""
    kept: list[tuple[float, float]] = []
    for point in sorted(points):
        while len(kept) > 1 and _is_below(kept[-2], kept[-1], point):
            kept.pop()
        kept.append(point)
    top = max(y for _, y in kept)
    end = next(i for i, (_, y) in enumerate(kept) if y == top)
    return [*kept[: end + 1], (1.0, top)]


def _is_below(
    left: tuple[float, float], middle: tuple[float, float], right: tuple[float, float]
) -> bool:
    return (middle[1] - left[1]) * (right[0] - left[0]) <= (right[1] - left[1]) * (
        middle[0] - left[0]
    )
