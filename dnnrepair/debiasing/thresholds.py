"""A threshold of its own for each group."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dnnrepair.debiasing.scored import Scored
    from dnnrepair.fairness.case import Case

    Numbers = NDArray[np.float64]

_GRID = 40  # thresholds of each group that are tried


def per_group(case: Case, fit: Scored, judge: Scored) -> NDArray[np.bool_]:
    """Return decisions by a threshold for each group, the fairest that keep the limits.

    With two groups all pairs of a grid are tried; with more, one group's after the other.

    Args:
        case: the objective and the limits.
        fit: rows that choose the thresholds.
        judge: rows that are decided, ``(n,)``.
    """
    count = len(fit.cohort.levels)
    base = torch.from_numpy(fit.cohort.table(np.where(fit.scores > 0.5, fit.cohort.positive, -1)))  # noqa: PLR2004
    grids = [
        np.unique(np.append(np.quantile(fit.scores[fit.cohort.groups == g], _shares()), 0.5))
        for g in range(count)
    ]
    tables = [_tables(fit, g, grids[g]) for g in range(count)]
    chosen = [int(np.searchsorted(grid, 0.5)) for grid in grids]
    pairs = [(0, 1)] if count == 2 else [(g,) for g in range(count)] * 2  # noqa: PLR2004
    for groups in pairs:
        best = np.inf
        start = list(chosen)
        for places in product(*(range(len(grids[g])) for g in groups)):
            trial = list(start)
            for g, place in zip(groups, places, strict=True):
                trial[g] = place
            table = torch.from_numpy(np.stack([tables[g][trial[g]] for g in range(count)]))
            cost = float(case.disparity.gap(table)) + 10 * float(case.limits.violation(table, base))
            if cost < best:
                best, chosen = cost, trial
    limits = np.array([grids[g][chosen[g]] for g in range(count)])
    found: NDArray[np.bool_] = judge.scores > limits[judge.cohort.groups]
    return found


def _shares() -> Numbers:
    return 1 - np.geomspace(0.01, 0.9, _GRID)


def _tables(rows: Scored, group: int, grid: Numbers) -> list[Numbers]:
    """Return the group's table ``(2, 2)`` at each threshold."""
    inside = rows.cohort.groups == group
    labels, scores = rows.cohort.labels[inside], rows.scores[inside]
    return [
        np.bincount(labels * 2 + (scores > t), minlength=4).reshape(2, 2).astype(np.float64)
        for t in grid
    ]
