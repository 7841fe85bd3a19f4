"""How far any rule on the network's own scores could go: the limit that a repair is held against.

A rule may be told the group of everybody, may draw lots, and is fitted to the very rows that
judge. Its rates in a group are then any point on or below the convex hull of the group's ROC curve
(Hardt, Price and Srebro, NeurIPS 2016). Gaps and accuracy are linear in these points, and so is
"F1 at least f", hence the smallest gap within the limits is a linear program, solved exactly. A
repair can pass it only by ordering people anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linprog

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dnnrepair.fitness.disparity import Disparity
    from dnnrepair.fitness.fairness import Limits

    Numbers = NDArray[np.float64]
    Whole = NDArray[np.int64]

_LINEAR = frozenset({"selection_rate", "tpr", "fpr", "accuracy"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """One group's corners of what can be reached: FPR and TPR ``(m, 2)``, and its people."""

    corners: Numbers
    negatives: int
    positives: int

    def rate(self, name: str) -> Numbers:
        """Return a rate at each corner ``(m,)``."""
        fpr, tpr = self.corners.T
        if name == "tpr":
            return np.asarray(tpr)
        if name == "fpr":
            return np.asarray(fpr)
        hits = fpr if name == "selection_rate" else 1 - fpr
        count = self.negatives + self.positives
        found: Numbers = (self.negatives * hits + self.positives * tpr) / count
        return found


def least_gap(
    margins: Numbers,
    labels: Whole,
    groups: Whole,
    disparity: Disparity,
    limits: Limits,
) -> float:
    """Return the smallest gap that a rule on margins can reach within limits on accuracy and F1.

    NaN for objectives that are not linear (ppv, flip).

    Args:
        margins: of the network, ``(n,)``; positive where it decides positively.
        labels: 0 or 1, ``(n,)``.
        groups: 0 ... G - 1, ``(n,)``; every group has rows of both labels.
        disparity: the objective.
        limits: what may be lost, compared with the network's own decisions.
    """
    if not disparity.rates or not _LINEAR.issuperset(disparity.rates):
        return float("nan")
    found = [_group(margins[groups == g], labels[groups == g]) for g in range(groups.max() + 1)]
    sizes = [len(one.corners) for one in found]
    count, rates = sum(sizes), len(disparity.rates)
    ends = np.cumsum([0, *sizes])
    rows, bounds = [], []
    for place, name in enumerate(disparity.rates):
        for first, one in enumerate(found):
            for second, other in enumerate(found):
                if first != second:  # rate(first) - rate(second) - gap(name) <= 0
                    row = np.zeros(count + rates)
                    row[ends[first] : ends[first + 1]] = one.rate(name)
                    row[ends[second] : ends[second + 1]] = -other.rate(name)
                    row[count + place] = -1.0
                    rows.append(row)
                    bounds.append(0.0)
    for row, bound in _kept(margins, labels, found, limits):
        rows.append(np.concatenate([row, np.zeros(rates)]))
        bounds.append(bound)
    cost = np.concatenate([np.zeros(count), np.ones(rates) / rates])
    if not disparity.mean:  # one gap for all: the largest
        rows = [np.append(row[:count], row[count:].sum()) for row in rows]
        cost = np.append(np.zeros(count), 1.0)
    equal = np.zeros((len(found), len(cost)))
    for place in range(len(found)):
        equal[place, ends[place] : ends[place + 1]] = 1.0
    solved = linprog(cost, np.array(rows), bounds, equal, np.ones(len(found)), method="highs")
    return float("nan") if solved.fun is None else float(solved.fun)


def _kept(
    margins: Numbers, labels: Whole, found: list[_Group], limits: Limits
) -> list[tuple[Numbers, float]]:
    """Return rows and bounds of "accuracy and F1 are kept"."""
    decided, count = margins > 0, len(labels)
    positives = int(labels.sum())
    hits = int((decided & (labels == 1)).sum())
    accuracy = float((decided == labels).mean())
    f1 = 2 * hits / max(int(decided.sum()) + positives, 1)
    true = np.concatenate([one.corners[:, 1] * one.positives for one in found])
    false = np.concatenate([one.corners[:, 0] * one.negatives for one in found])
    least = accuracy - limits.max_acc_drop
    ratio = limits.min_f1_ratio * f1
    return [
        ((false - true) / count, (count - positives) / count - least),
        (ratio * (true + false) - 2 * true, -ratio * positives),
    ]


def _group(margins: Numbers, labels: Whole) -> _Group:
    """Return the corners of the hull of a group's ROC curve, and the worst of all rules."""
    order = np.argsort(-margins, kind="stable")
    ranked, hit = margins[order], labels[order]
    last = np.append(ranked[1:] != ranked[:-1], True)  # equal margins are decided alike
    points = np.stack([np.cumsum(1 - hit)[last], np.cumsum(hit)[last]], 1).astype(np.float64)
    negatives, positives = points[-1]
    hull: list[Numbers] = [np.zeros(2)]
    for point in points:
        while len(hull) > 1 and _turns_left(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    corners = np.array([*hull, [negatives, 0.0]]) / [negatives, positives]
    return _Group(corners=corners, negatives=int(negatives), positives=int(positives))


def _turns_left(first: Numbers, second: Numbers, third: Numbers) -> bool:
    (a, b), (c, d) = second - first, third - first
    return bool(a * d - b * c >= 0)
