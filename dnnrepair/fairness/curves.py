"""How well scores part the labels of each group (ROC), and how true they are (calibration).

The interval of the area under the curve is that of DeLong, DeLong and Clarke-Pearson (1988), from
ranks as in Sun and Xu (2014).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

from dnnrepair.fairness.intervals import wilson
from dnnrepair.fairness_report import CalibrationBin, Curves, Estimate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dnnrepair.fairness.gates import Gates
    from dnnrepair.fairness.rows import Attribute, Rows

    Numbers = NDArray[np.float64]
    Flags = NDArray[np.bool_]

_MOST_POINTS = 101  # of a curve that is kept
_NORMAL = 1.959964  # standard deviations of a 95 % interval


def curves(rows: Rows, attribute: Attribute, gates: Gates) -> Iterator[Curves]:
    """Yield the curves of each group that has rows enough; none where scores are not known."""
    if rows.scores is None or rows.task != "binary":
        return
    cells = rows.cells(attribute)
    calibrated = rows.source("calibration", attribute).table
    effective = rows.effective(attribute)
    for place, level in enumerate(attribute.levels):
        labeled = cells[place].sum(axis=1)
        if labeled.sum() < gates.min_group or labeled.min() < gates.min_cell:
            continue
        inside = attribute.codes == place
        scores, positive = rows.scores[inside], rows.labels[inside] == 1
        weights = None if rows.weights is None else rows.weights[inside]
        whole = roc(scores, positive, weights)
        low, high = (np.nan, np.nan) if weights is not None else delong(scores, positive)
        shares = cells[place, :, 1] / labeled
        if weights is not None:
            counted = rows.source("confusion", attribute).table[place]
            shares = counted[:, 1] / counted.sum(axis=1)
        yield Curves(
            attribute=attribute.name,
            level=level,
            auc=Estimate(
                id="auc", value=area(whole), low=low, high=high, count=float(inside.sum())
            ),
            roc=tuple((float(x), float(y)) for x, y in _thinned(whole)),
            threshold=(float(shares[0]), float(shares[1])),
            bins=tuple(_bins(calibrated[place], float(effective[place]))),
        )


def roc(scores: Numbers, positive: Flags, weights: Numbers | None = None) -> Numbers:
    """Return the corners ``(points, 2)`` of the ROC curve: false and true positive rate.

    Args:
        scores: ``(rows,)``.
        positive: ``(rows,)`` the label is the positive one; both occur.
        weights: ``(rows,)`` what each row counts, 1 by default.
    """
    order = np.argsort(-scores, kind="stable")
    counts = np.ones(len(scores)) if weights is None else weights[order]
    hits = np.cumsum(np.where(positive[order], counts, 0.0))
    alarms = np.cumsum(np.where(positive[order], 0.0, counts))
    last = np.append(np.diff(scores[order]) != 0, True)  # of equal scores only the last is a corner
    corners = np.stack([alarms[last] / alarms[-1], hits[last] / hits[-1]], axis=1)
    found: Numbers = np.concatenate([np.zeros((1, 2)), corners])
    return found


def area(corners: Numbers) -> float:
    """Return the area under the corners of :func:`roc`."""
    return float(np.trapezoid(corners[:, 1], corners[:, 0]))


def delong(scores: Numbers, positive: Flags) -> tuple[float, float]:
    """Return the 95 % interval of the area under the curve, for at least two rows of each label."""
    ranks = rankdata(scores)
    above, below = scores[positive], scores[~positive]
    wins = (ranks[positive] - rankdata(above)) / len(below)  # share of negatives below a positive
    losses = 1 - (ranks[~positive] - rankdata(below)) / len(above)
    spread = np.sqrt(wins.var(ddof=1) / len(above) + losses.var(ddof=1) / len(below))
    middle = float(wins.mean())
    return max(0.0, middle - _NORMAL * spread), min(1.0, middle + _NORMAL * spread)


def _thinned(corners: Numbers) -> Numbers:
    """Return at most so many of the corners, evenly along the curve, both ends among them."""
    if len(corners) <= _MOST_POINTS:
        return corners
    along = corners.sum(axis=1)
    places = np.searchsorted(along, np.linspace(0, along[-1], _MOST_POINTS))
    kept = np.unique(np.concatenate([[0], places.clip(max=len(corners) - 1), [len(corners) - 1]]))
    found: Numbers = corners[kept]
    return found


def _bins(table: Numbers, effective: float) -> Iterator[CalibrationBin]:
    """Yield the bins ``(bins, 3)`` of a group that hold rows: negatives, positives, scores."""
    counts = table[:, 0] + table[:, 1]
    for (_, positives, scores), count in zip(table, counts, strict=True):
        if count:
            hits, tries = np.array(positives * effective), np.array(count * effective)
            low, high = wilson(hits, tries)
            yield CalibrationBin(
                score=float(scores / count),
                share=float(positives / count),
                low=float(low),
                high=float(high),
                count=float(tries),
            )
