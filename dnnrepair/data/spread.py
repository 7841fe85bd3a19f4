"""Positions shared out among parts, so that each part gets its share of every kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    Shares = NDArray[np.float64]
    Positions = NDArray[np.int64]

_DIGITS = 9  # to which a share of a stratum is exact


def spread(strata: Tensor, shares: Sequence[float], seed: int) -> tuple[Tensor, ...]:
    """Return disjoint positions that together are all, int64, ascending in each part.

    Of each stratum a part gets its share, rounded down or up. What to round up is settled one
    stratum after another, from the lowest number on, for the parts to which most is owed by then:
    so the first strata together are shared out as evenly as each of them, and all together.

    Args:
        strata: the stratum of each position, int64 ``(n,)``.
        shares: of each part, at least 0, not all 0; they are divided by their sum.
        seed: of the shuffling.
    """
    rng = np.random.default_rng(seed)
    wanted = np.asarray(shares, np.float64) / np.sum(shares)
    owed = np.zeros(len(wanted))
    parts: list[list[Positions]] = [[] for _ in wanted]
    for members in _members(strata.numpy()):
        exact = np.round(wanted * len(members), _DIGITS)
        counts = _rounded(exact, owed)
        owed += exact - counts
        shuffled = np.split(rng.permutation(members), np.cumsum(counts)[:-1])
        for part, some in zip(parts, shuffled, strict=True):
            part.append(some)
    return tuple(torch.from_numpy(np.sort(np.concatenate(part))) for part in parts)


def _members(strata: Positions) -> Iterator[Positions]:
    """Yield the positions of each stratum, in the order of their numbers."""
    order = np.argsort(strata, kind="stable")
    _, starts = np.unique(strata[order], return_index=True)
    yield from np.split(order, starts[1:])


def _rounded(exact: Shares, owed: Shares) -> Positions:
    """Return whole numbers of the same sum, each rounded down or up."""
    counts = np.floor(exact).astype(np.int64)
    rest = round(float(exact.sum())) - int(counts.sum())
    claims = np.where(exact > counts, owed + exact - counts, -np.inf)
    counts[np.argsort(-claims, kind="stable")[:rest]] += 1
    return counts
