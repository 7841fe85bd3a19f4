"""The trade-off that overwriting decisions at random would buy, and where a repair lies beside it.

Hort, Zhang, Sarro and Harman, "Fairea: a model behaviour mutation approach to benchmarking bias
mitigation methods" (ESEC/FSE 2021). A line from the untouched network to one that gives everybody
the same decision; a repair must beat it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from dnnrepair.fairness_report import Fairea

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dnnrepair.fairness.cohort import Cohort
    from dnnrepair.fitness.disparity import Disparity

    Whole = NDArray[np.int64]
    Point = tuple[float, float]

STEPS = 11  # 0, 10 ... 100 % of the decisions are overwritten
REPEATS = 50
REGIONS = ("win-win", "good", "bad", "inverted", "lose-lose", "undefined")


def fairea(
    cohort: Cohort, before: Whole, after: Whole, disparity: Disparity, rng: np.random.Generator
) -> Fairea:
    """Return the baseline of a network, and the region in which its repair lies.

    Accuracy is that of the decision, positive or not. Where the network is no better than giving
    everybody the majority's decision, the line would rise: balanced accuracy takes its place.

    Args:
        cohort: rows that judge.
        before: answers of the untouched network, ``(n,)``.
        after: answers of the repaired one.
        disparity: the objective; must compare groups.
        rng: chooses what is overwritten.
    """
    decided, repaired = (
        (answers == cohort.positive).astype(np.int64) for answers in (before, after)
    )
    majority = int(cohort.labels.mean() >= 0.5)  # noqa: PLR2004 - more than half
    balanced = _point(cohort, decided, disparity, balanced=False)[0] <= max(
        cohort.labels.mean(), 1 - cohort.labels.mean()
    )
    count = len(cohort)
    line = []
    for share in np.linspace(0, 1, STEPS):
        times = 1 if share in (0, 1) else REPEATS
        points = []
        for _ in range(times):
            places = rng.permutation(count)[: round(share * count)]
            mutant = decided.copy()
            mutant[places] = majority
            points.append(_point(cohort, mutant, disparity, balanced=balanced))
        accuracy, gap = np.mean(points, axis=0)
        line.append((float(accuracy), float(gap)))
    point = _point(cohort, repaired, disparity, balanced=balanced)
    return Fairea(baseline=tuple(line), point=point, region=region(line, point))


def region(line: list[Point], point: Point) -> str:
    """Return where a point (accuracy, gap) lies, beside a baseline that begins untouched.

    >>> line = [(0.85, 0.12), (0.80, 0.06), (0.75, 0.0)]
    >>> points = ((0.86, 0.1), (0.84, 0.05), (0.80, 0.09), (0.86, 0.2), (0.8, 0.2))
    >>> [region(line, p) for p in points]
    ['win-win', 'good', 'bad', 'inverted', 'lose-lose']
    """
    (accuracy, gap), (end, _) = line[0], line[-1]
    if accuracy <= end:
        return "undefined"
    better, fairer = point[0] >= accuracy, point[1] < gap
    if better:
        return "win-win" if fairer else "inverted"
    if not fairer:
        return "lose-lose"
    known = sorted(line)
    at = float(np.interp(point[0], [p[0] for p in known], [p[1] for p in known]))
    return "good" if point[1] < at else "bad"


def _point(cohort: Cohort, decided: Whole, disparity: Disparity, *, balanced: bool) -> Point:
    labels = cohort.labels
    answers = np.where(decided == 1, cohort.positive, -1)
    gap = float(disparity.gap(torch.from_numpy(cohort.table(answers))))
    if not balanced:
        return float((decided == labels).mean()), gap
    recalls = [float((decided[labels == one] == one).mean()) for one in (0, 1)]
    return float(np.mean(recalls)), gap
