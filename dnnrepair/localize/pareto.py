"""Points that no other point outdoes in both of two scores, in O(n log n).

A point dominates another if it is at least as high in both scores and higher in one. Front 1 are
the points that none dominates, front 2 those that only points of front 1 dominate, and so on.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Scores = NDArray[np.floating]
    Positions = NDArray[np.int64]

_SHARES = (0.001, 0.01, 0.1)  # of the points, tried in turn to set the others aside


def fronts(first: Scores, second: Scores) -> Iterator[Positions]:
    """Yield front 1, front 2, and so on, highest in the first score first.

    Of points that are equal in both scores the one named first stands in the earlier front.

    Args:
        first: ``(n,)``, finite.
        second: ``(n,)``, finite.
    """
    left = _descending(first, second)
    heights = second[left]
    while len(left):
        before = np.maximum.accumulate(heights)[:-1]
        member = np.concatenate([[True], heights[1:] > before])
        yield left[member]
        left, heights = left[~member], heights[~member]


def leading(first: Scores, second: Scores, count: int | None = None) -> Positions:
    """Return the points of front 1, or of as many fronts as it takes to have ``count``.

    Within a front those with the largest product of scores come first.

    Args:
        first: ``(n,)``, finite, at least 0.
        second: ``(n,)``, finite, at least 0.
        count: how many, at least 1; None for front 1, however many that are.
    """
    kept = _promising(first, second, count or 1)
    first, second = first[kept], second[kept]
    chosen: list[Positions] = []
    for front in fronts(first, second):
        product = first[front] * second[front]
        chosen.append(kept[front[np.lexsort((front, -product))]])
        if count is None or sum(map(len, chosen)) >= count:
            break
    return np.concatenate(chosen)[:count]


def ranks(first: Scores, second: Scores) -> Positions:
    """Return the rank of each point, from 1, in the order in which :func:`leading` names them."""
    order = np.lexsort((-first * second, front_numbers(first, second)))
    found = np.empty(len(order), np.int64)
    found[order] = np.arange(1, len(order) + 1)
    return found


def front_numbers(first: Scores, second: Scores) -> NDArray[np.int64]:
    """Return in which front each point stands, from 1.

    A point's front is one more than the highest front of those that dominate it (Jensen 2003); of
    equal points all but one fall behind, as in :func:`fronts`.
    """
    order = _descending(first, second)
    lowest: list[float] = []  # minus the highest second score that each front has so far
    numbers = np.empty(len(order), np.int64)
    for position, height in zip(order.tolist(), second[order].tolist(), strict=True):
        place = bisect_right(lowest, -height)
        lowest[place : place + 1] = [-height]
        numbers[position] = place + 1
    return numbers


def _descending(first: Scores, second: Scores) -> Positions:
    """Return the order by the first score, then by the second, highest first; stable."""
    order: Positions = np.lexsort((-second, -first))
    return order


def _promising(first: Scores, second: Scores, count: int) -> Positions:
    """Return all points but some that ``count`` others outdo, which stand in lower fronts.

    It saves sorting them all: few weights are high in either score.
    """
    for share in _SHARES:
        rank = len(first) - max(1, int(share * len(first)))
        low, lower = (np.partition(scores, rank)[rank] for scores in (first, second))
        if np.count_nonzero((first >= low) & (second >= lower)) >= count:
            return np.flatnonzero((first >= low) | (second >= lower))
    return np.arange(len(first))
