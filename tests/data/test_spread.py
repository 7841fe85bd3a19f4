"""Positions shared out: nothing lost, nothing twice, every kind and every beginning alike."""

from __future__ import annotations

from itertools import chain, pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dnnrepair.data.spread import spread

if TYPE_CHECKING:
    from collections.abc import Iterator

strata = st.lists(st.integers(0, 6), min_size=1, max_size=80)
shares = st.lists(st.integers(0, 6), min_size=1, max_size=5).filter(any)


@given(strata, shares, st.integers(0, 99))
def test_each_stratum_and_all_together_are_shared_out_to_within_one(
    kinds: list[int], wanted: list[int], seed: int
) -> None:
    parts = [part.tolist() for part in spread(torch.tensor(kinds), wanted, seed)]
    assert sorted(chain(*parts)) == list(range(len(kinds)))
    assert all(part == sorted(part) for part in parts)
    assert parts == [part.tolist() for part in spread(torch.tensor(kinds), wanted, seed)]
    for part, share in zip(parts, np.array(wanted) / sum(wanted), strict=True):
        assert share or not part
        for last in set(kinds):  # of the first strata together, however small each
            count = sum(kinds[place] <= last for place in part)
            assert abs(count - share * sum(kind <= last for kind in kinds)) < len(wanted) / 2
        for kind in set(kinds):
            count = sum(kinds[place] == kind for place in part)
            assert abs(count - share * kinds.count(kind)) < 1


def compositions(total: int) -> Iterator[tuple[int, ...]]:
    """Yield every way to cut a row of ``total`` into pieces."""
    for cuts in range(2 ** (total - 1)):
        places = [0, *(i + 1 for i in range(total - 1) if cuts >> i & 1), total]
        yield tuple(b - a for a, b in pairwise(places))


@pytest.mark.parametrize("wanted", [(0.4, 0.2, 0.4), (2 / 3, 1 / 3, 0), (0.5, 0.25, 0.25)])
def test_from_four_on_every_part_has_one_whatever_their_kinds(wanted: tuple[float, ...]) -> None:
    for count in range(4, 9):
        for sizes in compositions(count):
            kinds = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
            parts = spread(kinds, wanted, seed=0)
            assert all(len(part) > 0 for part, share in zip(parts, wanted, strict=True) if share)


def test_another_seed_draws_others_and_each_as_often() -> None:
    count = np.zeros(12)
    for seed in range(300):
        first, _ = spread(torch.zeros(12, dtype=torch.int64), (1, 2), seed)
        assert len(first) == 4
        count[first.numpy()] += 1
    assert abs(count / 300 - 1 / 3).max() < 4 * np.sqrt(2 / 9 / 300)
