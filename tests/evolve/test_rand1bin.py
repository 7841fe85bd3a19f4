"""rand/1/bin: the reference's arithmetic, and as good as the reference and scipy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from dnnrepair.evolve.asynchronous import search_sequentially
from dnnrepair.evolve.box import Box
from dnnrepair.evolve.rand1bin import Rand1Bin, numbers
from dnnrepair.evolve.start import Normal

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from dnnrepair.evolve.state import State


def square(values: list[float]) -> float:
    return -math.fsum(x * x for x in values)


def steps(values: list[float]) -> float:
    return -math.fsum(math.floor(abs(x) * 20) for x in values)


def waves(values: list[float]) -> float:
    return -math.fsum(x * x - 10 * math.cos(2 * math.pi * x) + 10 for x in values)


def one_by_one(one: Callable[[list[float]], float], values: Tensor) -> Tensor:
    fitness = [[one(member) for member in search] for search in values.tolist()]
    return torch.tensor(fitness, dtype=torch.float64)


def run(
    strategy: Rand1Bin, state: State, evaluate: Callable[[Tensor], Tensor], generations: int
) -> State:
    for _ in range(generations + 1):
        trials = strategy.ask(state)
        state = strategy.tell(state, trials, evaluate(trials))
    return state


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**64),
    candidates=st.integers(4, 9),
    weights=st.integers(1, 4),
    crossover=st.sampled_from([0.0, 0.3, 0.7, 1.0]),
    holes=st.booleans(),
)
def test_it_is_a_plain_loop_bit_for_bit(
    seed: int, candidates: int, weights: int, crossover: float, *, holes: bool
) -> None:
    def fitness(values: list[float]) -> float:
        return math.nan if holes and values[0] > 0.3 else steps(values) + square(values)

    strategy = Rand1Bin(candidates=candidates, crossover=crossover)
    bound = torch.full((weights,), 3.0, dtype=torch.float64)
    box = Box(-bound, bound)
    start = Normal(mean=bound * 0, std=bound)  # some of it outside the box
    state = strategy.init([seed], box, start)
    state = run(strategy, state, lambda values: one_by_one(fitness, values), 20)
    wanted = search_sequentially(
        strategy, fitness, box, seed, start=start, generations=20, at_once=False
    )
    assert state.population[0].tolist() == wanted.population
    assert state.fitness[0].tolist() == wanted.fitness


def test_draws_have_the_rates_of_the_reference() -> None:
    strategy = Rand1Bin(candidates=50)
    bound = torch.ones(20, dtype=torch.float64)
    state = run(strategy, strategy.init([1, 2], Box(-bound, bound)), lambda v: v[..., 0], 0)
    scales, crossed = [], []
    for _ in range(200):
        now = numbers(state)
        scales += now.scale.flatten().tolist()
        crossed.append(now.crosses.double().mean().item())
        trials = strategy.ask(state)
        state = strategy.tell(state, trials, trials[..., 0])
        assert now.crosses.any(dim=-1).all()
    assert stats.kstest(np.array(scales) * 2 - 1, "uniform").pvalue > 1e-3
    assert np.mean(crossed) == pytest.approx(0.7 + 0.3 / 20, abs=0.002)


@pytest.mark.parametrize(("one", "generations"), [(square, 40), (waves, 40), (steps, 15)])
def test_with_a_fifth_more_generations_it_finds_what_the_reference_form_finds(
    one: Callable[[list[float]], float], generations: int
) -> None:
    strategy, seeds = Rand1Bin(candidates=20), range(30)
    bound = torch.full((3,), 5.0, dtype=torch.float64)
    box = Box(-bound, bound)
    state = strategy.init(seeds, box)
    state = run(strategy, state, lambda values: one_by_one(one, values), generations * 6 // 5)
    at_once = [
        max(search_sequentially(strategy, one, box, seed, generations=generations).fitness)
        for seed in seeds
    ]
    together = state.best_fitness.tolist()
    assert np.ptp(at_once) > 0  # neither has nothing left to find
    assert stats.mannwhitneyu(together, at_once, alternative="less").pvalue > 1e-2
    assert np.median(together) >= 2 * np.median(at_once)  # both are negative


def test_it_is_as_good_as_scipy(rastrigin: Callable[[Tensor], Tensor]) -> None:
    def cost(points: Any) -> Any:
        return -rastrigin(torch.from_numpy(points.T)).numpy()

    strategy, weights = Rand1Bin(candidates=40), 4
    bound = torch.full((weights,), 5.0, dtype=torch.float64)
    ours = run(strategy, strategy.init(range(12), Box(-bound, bound)), rastrigin, 150)
    theirs = [
        optimize.differential_evolution(
            cost,
            optimize.Bounds([-5.0] * weights, [5.0] * weights),
            strategy="rand1bin",
            maxiter=150,
            popsize=10,
            mutation=(0.5, 1.0),
            recombination=0.7,
            updating="deferred",
            vectorized=True,
            polish=False,
            init="random",
            tol=0,
            rng=seed,
        ).fun
        for seed in range(12)
    ]
    assert stats.mannwhitneyu(-ours.best_fitness.numpy(), theirs).pvalue > 1e-3
