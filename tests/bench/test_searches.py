"""Whole searches evaluate as many candidates as they are said to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from dnnrepair.bench import searches
from dnnrepair.bench.recipes import RECIPES
from dnnrepair.bench.searches import GENERATIONS, affordable_generations, ground, searching
from dnnrepair.bench.workloads import prepare

if TYPE_CHECKING:
    from torch import Tensor


class Counting:
    """An evaluator that would abandon candidates, were it told a threshold."""

    abandons = True

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, values: Tensor) -> Tensor:
        self.shapes.append(tuple(values.shape))
        return -values.square().sum(-1)


def test_a_search_counts_what_it_evaluates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searches, "affordable_generations", lambda _: 7)
    workload, counting = prepare(RECIPES[0], 10, seed=0), Counting()
    evaluator: Any = counting
    entrant = searching("search", workload, evaluator, workload.candidates(6, seed=1))
    assert counting.shapes.pop() == (6, 10)  # to see how long it takes
    amount = entrant.work()
    assert counting.shapes == [(1, 6, 10)] * 8  # the first population, and 7 generations
    assert amount == 6 * 8


@pytest.mark.parametrize(
    ("seconds", "generations"), [(0.0, GENERATIONS), (0.1, 9), (0.9, 1), (60.0, 1)]
)
def test_slow_populations_have_few_generations(seconds: float, generations: int) -> None:
    assert affordable_generations(seconds) == generations


@pytest.mark.parametrize("name", ["head", "lstm"])
def test_a_search_starts_from_the_weights_within_bounds_of_their_layers(name: str) -> None:
    workload = prepare(next(r for r in RECIPES if r.name == name), 4, seed=0)
    box, start = ground(workload)
    tensors = {n: p.detach() for n, p in workload.module.named_parameters()}
    originals = [float(tensors[place.tensor][place.index]) for place in workload.places]
    assert start.original is not None
    assert start.original.tolist() == originals
    highest = [2 * float(tensors[place.tensor].max()) for place in workload.places]
    assert torch.allclose(box.high, torch.tensor(highest))
