"""Pareto fronts against comparing every point with every other."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dnnrepair.localize.pareto import front_numbers, fronts, leading, ranks

scores = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=40)


def brute(points: list[tuple[int, int]]) -> list[list[int]]:
    """Return the fronts; of equal points all but the first fall behind."""
    rest, found = list(range(len(points))), []
    while rest:
        front = [i for i in rest if not any(_before(points, j, i) for j in rest)]
        found.append(front)
        rest = [i for i in rest if i not in front]
    return found


def _before(points: list[tuple[int, int]], j: int, i: int) -> bool:
    (a, b), (c, d) = points[j], points[i]
    return (a >= c and b >= d and (a > c or b > d)) or (points[j] == points[i] and j < i)


def columns(points: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    both = np.array(points, dtype=np.float64)
    return both[:, 0], both[:, 1]


@given(scores)
def test_fronts_are_those_of_all_comparisons(points: list[tuple[int, int]]) -> None:
    found = [sorted(front.tolist()) for front in fronts(*columns(points))]
    assert found == brute(points)


@given(scores)
def test_each_point_knows_its_front(points: list[tuple[int, int]]) -> None:
    numbers = front_numbers(*columns(points))
    for number, front in enumerate(brute(points), start=1):
        assert all(numbers[i] == number for i in front)


@given(scores, st.integers(1, 50))
def test_the_leading_points_are_the_first_of_the_ranking(
    points: list[tuple[int, int]], count: int
) -> None:
    first, second = columns(points)
    chosen = leading(first, second, count)
    assert len(chosen) == min(count, len(points))
    assert ranks(first, second)[chosen].tolist() == list(range(1, len(chosen) + 1))
    assert sorted(leading(first, second).tolist()) == brute(points)[0]


def test_setting_points_aside_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.lognormal(size=(2, 5000))
    for count in (1, 10, 300, 4999):
        order = np.argsort(ranks(first, second))
        assert leading(first, second, count).tolist() == order[:count].tolist()
