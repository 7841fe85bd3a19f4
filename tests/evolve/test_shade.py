"""SHADE: a plain-Python generation, the rules of its memory, and what it finds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dnnrepair.evolve import draws
from dnnrepair.evolve.history import History, remember
from dnnrepair.evolve.rand1bin import Rand1Bin
from dnnrepair.evolve.shade import Shade, _numbers

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from dnnrepair.evolve.box import Box
    from dnnrepair.evolve.state import State


def plain_rates(state: State, place: int, target: int) -> tuple[float, float]:
    now, history = _numbers(state), History.of(state)
    slot = int(now.slot[place, target])
    tries = [float(history.rates[place, 0, slot]) + x for x in now.scale[place, target].tolist()]
    scale = next((x for x in tries if x > 0), abs(tries[0]))
    rate = float(history.rates[place, 1, slot]) + float(now.crossover[place, target])
    return min(scale, 1.0), min(max(rate, 0.0), 1.0)


def plain_trial(state: State, place: int, target: int) -> list[float]:
    """Current-to-pbest/1/bin for one candidate, as the papers write it."""
    now, history = _numbers(state), History.of(state)
    scale, rate = plain_rates(state, place, target)
    members = state.population[place].tolist()
    fitness = state.fitness[place].tolist()
    fittest = sorted(range(len(members)), key=lambda i: -fitness[i])
    archive = history.archive[place, : int(history.archived[place])].tolist()
    best = members[fittest[int(now.best[place, target])]]
    first = int(now.first[place, target])
    others = [i for i in range(len(members) + len(archive)) if i not in {target, first}]
    chosen = others[int(draws.below(now.second[place, target], len(others)))]
    last = (members + archive)[chosen]
    parent, donor, found = members[target], members[first], []
    for i, x in enumerate(parent):
        low, high = float(state.box.low[i]), float(state.box.high[i])
        value = x + scale * (best[i] - x) + scale * (donor[i] - last[i])
        if not low <= value <= high:
            value = min(max(((low if value < low else high) + x) / 2, low), high)
        found.append(value if float(now.crosses[place, target, i]) < rate else x)
    return found


@settings(max_examples=15)
@given(
    seeds=st.lists(st.integers(0, 2**64), min_size=1, max_size=3),
    candidates=st.integers(4, 9),
    weights=st.integers(1, 3),
    archive=st.sampled_from([0.0, 0.6, 2.0]),
)
def test_trials_are_those_of_the_papers(
    seeds: list[int], candidates: int, weights: int, archive: float
) -> None:
    strategy = Shade(candidates=candidates, memory=3, archive=archive)
    state = strategy.init(seeds, cube_of(weights))
    for generation in range(12):
        trials = strategy.ask(state)
        if generation:
            wanted = [
                [plain_trial(state, s, target) for target in range(candidates)]
                for s in range(len(seeds))
            ]
            assert trials.tolist() == wanted
        state = strategy.tell(state, trials, -(trials - 0.5).abs().amax(dim=-1))


def cube_of(weights: int) -> Box:
    from dnnrepair.evolve.box import Box

    bound = torch.full((weights,), 1.0, dtype=torch.float64)
    return Box(-bound, bound)


def test_the_memory_learns_the_weighted_means_of_what_succeeded() -> None:
    strategy = Shade(candidates=30, memory=4)
    state = strategy.init([1, 2], cube_of(3))
    for generation in range(12):
        trials = strategy.ask(state)
        fitness = -trials.abs().sum(dim=-1)
        after = strategy.tell(state, trials, fitness)
        old, new = History.of(state), History.of(after)
        for place in range(2):
            gains = (fitness - state.fitness)[place].tolist()
            rates = [plain_rates(state, place, target) for target in range(30)]
            known = [(g, *r) for g, r in zip(gains, rates, strict=True) if 0 < g < math.inf]
            slot = int(old.slot[place])
            if known:
                lehmer = sum(g * f * f for g, f, _ in known) / sum(g * f for g, f, _ in known)
                mean = sum(g * r for g, _, r in known) / sum(g for g, _, _ in known)
                assert float(new.rates[place, 0, slot]) == pytest.approx(lehmer, rel=1e-9)
                assert float(new.rates[place, 1, slot]) == pytest.approx(mean, rel=1e-9, abs=1e-9)
            assert int(new.slot[place]) == (slot + bool(known)) % 4
            assert bool(known) == (generation > 0)
        state = after


def test_nothing_is_learnt_from_failed_evaluations(
    sphere: Callable[[Tensor], Tensor],
) -> None:
    strategy = Shade(candidates=8)
    state = strategy.init([5], cube_of(2))
    first = strategy.ask(state)
    failed = torch.full((1, 8), math.nan)
    failed[0, :4] = sphere(first)[0, :4].float()
    state = strategy.tell(state, first, failed)
    assert torch.equal(state.fitness[0, 4:], torch.full((4,), -math.inf, dtype=torch.float64))
    trials = strategy.ask(state)
    worse = torch.full((1, 8), math.nan)
    worse[0, 4:] = -1e6  # better than unknown: replaces, teaches nothing
    after = strategy.tell(state, trials, worse)
    assert torch.equal(after.population[0, 4:], trials[0, 4:])
    assert torch.equal(after.population[0, :4], state.population[0, :4])
    for old, new in zip(state.memory, after.memory, strict=True):
        assert torch.equal(old, new)
    for _ in range(30):
        trials = strategy.ask(after)
        fitness = sphere(trials)
        fitness[:, ::2] = math.nan
        after = strategy.tell(after, trials, fitness)
        assert all(bool(torch.isfinite(part).all()) for part in after.memory)


def test_the_archive_holds_replaced_parents_and_forgets_evenly() -> None:
    searches, room, members = 3000, 4, 3
    history = History.empty(torch.zeros(searches, members, 1), 2, room)
    keys = draws.words(torch.arange(searches), 3 * (room + members)).view(searches, 3, -1)
    rates = (torch.ones(searches, members), torch.ones(searches, members))
    for turn in range(3):  # 9 parents are offered, 4 stay
        parents = torch.arange(turn * members, (turn + 1) * members) + 1.0
        parents = parents.view(1, members, 1).expand(searches, -1, -1)
        gain = torch.ones(searches, members, dtype=torch.float64)
        history = remember(history, parents, gain, rates, keys[:, turn])
    assert torch.equal(history.archived, torch.full((searches,), room))
    held = history.archive[..., 0].sort(dim=1).values
    assert bool((held[:, 1:] > held[:, :-1]).all())  # none twice
    counts = np.bincount(held.flatten().long(), minlength=10)[1:]
    # the last three each stay with 4/7; those before with 4/7 times their earlier chance
    wanted = np.repeat([4 / 7 * 4 / 6, 4 / 7 * 4 / 6, 4 / 7], 3) * searches
    assert np.abs(counts - wanted).max() < 4.5 * np.sqrt(searches / 4)


def test_it_beats_rand1bin_on_smooth_functions(
    sphere: Callable[[Tensor], Tensor], cube: Callable[..., Box]
) -> None:
    found = []
    for strategy in (Shade(), Rand1Bin()):
        state = strategy.init(range(10), cube(10))
        for _ in range(101):
            trials = strategy.ask(state)
            state = strategy.tell(state, trials, sphere(trials))
        found.append(state.best_fitness.numpy())
    assert stats.mannwhitneyu(found[0], found[1], alternative="greater").pvalue < 1e-3
