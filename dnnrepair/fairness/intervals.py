"""Intervals of shares and of their differences, and p-values of many comparisons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import fisher_exact, norm

from dnnrepair.fairness.rates import share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

_FEW = 5.0  # expected in a cell, below which the normal approximation is poor (Cochran 1954)


def wilson(hits: Numbers, tries: Numbers, alpha: float = 0.05) -> tuple[Numbers, Numbers]:
    """Return the score interval of shares (Wilson 1927); 0 to 1 where nothing was tried.

    Args:
        hits: ``(...)``.
        tries: ``(...)``, not necessarily whole: effective sizes will do.
        alpha: share of intervals that miss.

    Returns:
        Lower and upper ends ``(...)``.
    """
    z2 = float(norm.isf(alpha / 2)) ** 2
    value = np.nan_to_num(share(hits, tries))
    some = np.maximum(tries, 1e-12)
    center = (value + z2 / (2 * some)) / (1 + z2 / some)
    half = np.sqrt(z2 * (value * (1 - value) / some + z2 / (4 * some**2))) / (1 + z2 / some)
    low = np.where(hits <= 0, 0.0, np.clip(center - half, 0, 1))
    high = np.where(hits >= tries, 1.0, np.clip(center + half, 0, 1))
    return np.where(tries > 0, low, 0.0), np.where(tries > 0, high, 1.0)


def newcombe(
    hits: tuple[Numbers, Numbers], tries: tuple[Numbers, Numbers], alpha: float = 0.05
) -> tuple[Numbers, Numbers]:
    """Return the interval of the first share less the second (Newcombe 1998, method 10).

    It holds its level also for few tries and for shares of 0 and 1.
    """
    first, second = share(hits[0], tries[0]), share(hits[1], tries[1])
    low_1, high_1 = wilson(hits[0], tries[0], alpha)
    low_2, high_2 = wilson(hits[1], tries[1], alpha)
    difference = first - second
    low = difference - np.sqrt((first - low_1) ** 2 + (high_2 - second) ** 2)
    high = difference + np.sqrt((high_1 - first) ** 2 + (second - low_2) ** 2)
    return low, high


def same_share(hits: tuple[float, float], tries: tuple[float, float]) -> float:
    """Return the two-sided p of equal shares: the pooled z test, Fisher's exact one if few."""
    total, right = sum(tries), sum(hits)
    if min(tries) <= 0:
        return float("nan")
    pooled = right / total
    if min(tries) * min(pooled, 1 - pooled) < _FEW:
        table = np.rint([[h, t - h] for h, t in zip(hits, tries, strict=True)]).astype(np.int64)
        return float(fisher_exact(table).pvalue)
    spread = np.sqrt(pooled * (1 - pooled) * (1 / tries[0] + 1 / tries[1]))
    return float(2 * norm.sf(abs(hits[0] / tries[0] - hits[1] / tries[1]) / spread))


def holm(found: list[float]) -> list[float]:
    """Return p-values adjusted so that no true hypothesis of all falls by chance (Holm 1979).

    NaN stays NaN and is not counted.

    >>> holm([0.01, 0.04, float("nan"), 0.03])
    [0.03, 0.06, nan, 0.06]
    """
    known = sorted((p, place) for place, p in enumerate(found) if not np.isnan(p))
    adjusted, largest = list(found), 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        adjusted[place] = largest
    return adjusted
