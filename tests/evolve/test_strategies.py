"""What every strategy owes: the same in any company, no worse, no slower to refuse."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from dnnrepair.errors import SettingError
from dnnrepair.evolve.box import Box
from dnnrepair.evolve.rand1bin import Rand1Bin
from dnnrepair.evolve.shade import Shade

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from dnnrepair.evolve.state import State
    from dnnrepair.evolve.strategy import Strategy

    Kind = Callable[..., Strategy]
    Fitness = Callable[[Tensor], Tensor]


def after(strategy: Strategy, state: State, evaluate: Fitness, generations: int) -> State:
    for _ in range(generations):
        trials = strategy.ask(state)
        state = strategy.tell(state, trials, evaluate(trials))
    return state


def assert_same(one: State, other: State) -> None:
    theirs = other.tensors()
    for name, tensor in one.tensors().items():
        assert torch.equal(tensor, theirs[name]), name


def row(state: State, place: int) -> dict[str, Tensor]:
    whole = state.tensors()
    generation = whole.pop("generation")
    return {name: x[place : place + 1] for name, x in whole.items()} | {"generation": generation}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("candidates", "weights"), [(4, 1), (7, 3), (33, 10)])
def test_a_search_finds_in_company_what_it_finds_alone(
    kind: Kind, sphere: Fitness, dtype: torch.dtype, candidates: int, weights: int
) -> None:
    low = -torch.rand(5, weights, dtype=dtype)
    box, strategy = Box(low, low + 2), kind(candidates=candidates)
    seeds = [3, 1, 4, 1, 5]
    together = after(strategy, strategy.init(seeds, box), sphere, 20)
    for place, seed in enumerate(seeds):
        own = Box(low[place : place + 1], low[place : place + 1] + 2)
        alone = after(strategy, strategy.init([seed], own), sphere, 20)
        for name, tensor in row(together, place).items():
            assert torch.equal(tensor, alone.tensors()[name]), name


@pytest.mark.parametrize("ahead", [1, 5])
def test_how_many_numbers_are_drawn_ahead_changes_nothing(
    kind: Kind, sphere: Fitness, cube: Callable[..., Box], ahead: int
) -> None:
    strategy = kind(candidates=9)
    usual = after(strategy, strategy.init([7, 8], cube(3)), sphere, 19)
    other = after(strategy, strategy.init([7, 8], cube(3), ahead=ahead), sphere, 19)
    assert_same(usual, other)


def test_a_state_goes_on_from_its_tensors(
    kind: Kind, sphere: Fitness, cube: Callable[..., Box]
) -> None:
    strategy = kind(candidates=9)
    fresh = strategy.init([7, 8], cube(3))
    middle = after(strategy, fresh, sphere, 11)
    resumed = fresh.holding(middle.tensors(), strategy.drawing(fresh))
    assert_same(after(strategy, middle, sphere, 9), after(strategy, resumed, sphere, 9))


def test_a_state_taken_on_in_place_goes_on_the_same(
    kind: Kind, sphere: Fitness, cube: Callable[..., Box]
) -> None:
    strategy = kind(candidates=9)
    static = strategy.init([7, 8], cube(3), ahead=1)
    usual = after(strategy, strategy.init([7, 8], cube(3)), sphere, 12)
    for _ in range(12):  # what the replay of a CUDA graph does
        trials = strategy.ask(static)
        static.copy_(strategy.tell(static, trials, sphere(trials)))
    assert_same(usual, static)


def test_the_best_never_gets_worse_and_stale_counts_since_when(
    kind: Kind, cube: Callable[..., Box]
) -> None:
    strategy = kind(candidates=6)
    state, stale = strategy.init([1], cube(2)), 0
    for generation in range(40):
        trials = strategy.ask(state)
        fitness = -trials.abs().floor().sum(dim=-1)
        new = strategy.tell(state, trials, fitness)
        better = float(new.best_fitness) > float(state.best_fitness)
        assert better or float(new.best_fitness) == float(state.best_fitness)
        stale = 0 if better else stale + 1
        assert int(new.stale) == stale
        assert float(-new.best.abs().floor().sum()) == float(new.best_fitness)
        assert int(new.generation) == generation + 1
        state = new


def test_trials_stay_in_the_box(kind: Kind, cube: Callable[..., Box]) -> None:
    strategy, box = kind(candidates=12), cube(3, side=1.0)
    state = strategy.init([1, 2], box)
    for _ in range(40):
        trials = strategy.ask(state)
        assert torch.equal(box.clip(trials), trials)
        state = strategy.tell(state, trials, trials.sum(dim=-1))  # drawn to a corner
    assert float(state.best.min()) > 0.9


def test_nan_replaces_nothing_and_yields_to_everything(
    kind: Kind, cube: Callable[..., Box]
) -> None:
    strategy = kind(candidates=6)
    state = strategy.init([1], cube(2))
    nothing = torch.full((1, 6), math.nan)
    blind = after(strategy, state, lambda _: nothing, 5)
    assert torch.equal(blind.population, state.population)
    assert blind.best_fitness.tolist() == [-math.inf]
    trials = strategy.ask(blind)
    seeing = strategy.tell(blind, trials, torch.full((1, 6), -math.inf))
    assert torch.equal(seeing.population, trials)


def test_a_search_that_is_not_active_stays_as_it_is(
    kind: Kind, sphere: Fitness, cube: Callable[..., Box]
) -> None:
    strategy = kind(candidates=6)
    state = after(strategy, strategy.init([1, 2], cube(2)), sphere, 4)
    state = replace(state, active=torch.tensor([False, True]))
    later = after(strategy, state, sphere, 6)
    before, now = row(state, 0), row(later, 0)
    assert all(torch.equal(before[name], now[name]) for name in before if name != "generation")
    assert not torch.equal(state.population[1], later.population[1])


@pytest.mark.parametrize(
    "settings",
    [
        {"candidates": 3},
        {"candidates": 2**21},
        {"crossover": -0.1},
        {"crossover": 1.1},
        {"crossover": math.nan},
        {"scale": (0.9, 0.5)},
        {"scale": (0.5, 9.0)},
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="; set"):
        Rand1Bin(**settings)


@pytest.mark.parametrize(
    "settings", [{"candidates": 0}, {"greed": 1.5}, {"memory": 0}, {"archive": -1.0}]
)
def test_shade_refuses_settings_out_of_range(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="; set"):
        Shade(**settings)


@pytest.mark.parametrize("shape", [(2, 6), (1, 5), (1, 6, 1), ()])
def test_fitness_of_another_shape_is_refused(
    kind: Kind, cube: Callable[..., Box], shape: Sequence[int]
) -> None:
    strategy = kind(candidates=6)
    state = strategy.init([1], cube(2))
    with pytest.raises(SettingError, match="return \\(1, 6\\)"):
        strategy.tell(state, strategy.ask(state), torch.zeros(shape))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("captured", [False, True])
def test_a_cuda_device_finds_the_same_bits(kind: Kind, sphere: Fitness, *, captured: bool) -> None:
    strategy, low = kind(candidates=50), torch.full((6,), -3.0)
    usual = after(strategy, strategy.init([1, 2], Box(low, -low)), sphere, 20)
    state = strategy.init([1, 2], Box(low.cuda(), -low.cuda()), ahead=1)
    if captured:
        trials = strategy.ask(state)
        strategy.tell(state, trials, sphere(trials))  # loads the kernels
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            trials = strategy.ask(state)
            state.copy_(strategy.tell(state, trials, sphere(trials)))
        for _ in range(20):
            graph.replay()
    else:
        state = after(strategy, state, sphere, 20)
    moved = {name: x.cpu() for name, x in state.tensors().items()}
    assert_same(usual, usual.holding(moved, strategy.drawing(usual)))
