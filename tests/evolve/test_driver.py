"""Searching: each search on its own terms, whatever stops it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch

from dnnrepair.errors import SettingError
from dnnrepair.evolve.box import Box
from dnnrepair.evolve.checkpoint import Checkpoint
from dnnrepair.evolve.driver import SearchInterrupted, search
from dnnrepair.evolve.rand1bin import Rand1Bin
from dnnrepair.evolve.shade import Shade
from dnnrepair.evolve.stopping import Stopping

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from dnnrepair.evolve.state import State
    from dnnrepair.evolve.strategy import Strategy

    Kind = Callable[..., Strategy]
    Fitness = Callable[[Tensor], Tensor]


def stairs(values: Tensor) -> Tensor:
    return -(values * 2).abs().floor().sum(dim=-1)


class Abandoned:
    """Gives up on whatever its threshold excludes."""

    def __init__(self, fitness: Fitness, *, abandons: bool = True) -> None:
        self.fitness = fitness
        self.abandons = abandons
        self.saved = 0

    def __call__(self, values: Tensor, *, threshold: Tensor | None = None) -> Tensor:
        fitness = self.fitness(values)
        assert (threshold is not None) == self.abandons
        if threshold is None:
            return fitness
        hopeless = fitness < threshold
        self.saved += int(hopeless.sum())
        return torch.where(hopeless, math.nan, fitness)


def test_a_converged_search_keeps_what_it_has_in_any_company(
    kind: Kind, cube: Callable[..., Box]
) -> None:
    strategy, rule = kind(candidates=8), Stopping(generations=80, patience=6)
    seeds = [5, 6, 7, 8, 9]
    together = search(strategy, stairs, cube(2), seeds, stopping=rule)
    assert len(set(together.generations)) > 2
    for place, seed in enumerate(seeds):
        alone = search(strategy, stairs, cube(2), [seed], stopping=rule)
        assert alone.generations[0] == together.generations[place]
        assert alone.reasons[0] == together.reasons[place] == "patience"
        assert torch.equal(alone.best[0], together.best[place])
        assert torch.equal(alone.state.population[0], together.state.population[place])


def test_abandoning_early_changes_nothing(
    kind: Kind, sphere: Fitness, cube: Callable[..., Box]
) -> None:
    strategy, rule = kind(candidates=8), Stopping(generations=30)
    plain = search(strategy, sphere, cube(3), [1, 2], stopping=rule)
    for abandons in (True, False):
        evaluate = Abandoned(sphere, abandons=abandons)
        found = search(strategy, evaluate, cube(3), [1, 2], stopping=rule)
        assert torch.equal(found.state.population, plain.state.population)
        assert torch.equal(found.state.fitness, plain.state.fitness)
        assert (evaluate.saved > 100) == abandons


def test_a_search_ends_at_its_target(kind: Kind, sphere: Fitness, cube: Callable[..., Box]) -> None:
    strategy = kind(candidates=10)
    found = search(
        strategy, sphere, cube(2), [1, 2], stopping=Stopping(generations=500, target=-1e-3)
    )
    assert found.reasons == ("target", "target")
    assert bool((found.fitness >= -1e-3).all())
    for place, seed in enumerate((1, 2)):
        short = Stopping(generations=found.generations[place] - 1)
        before = search(strategy, sphere, cube(2), [seed], stopping=short)
        assert float(before.fitness) < -1e-3


def test_budgets_of_generations_and_seconds(sphere: Fitness, cube: Callable[..., Box]) -> None:
    calls = []

    def counted(values: Tensor) -> Tensor:
        calls.append(values.shape)
        return sphere(values)

    found = search(Rand1Bin(candidates=6), counted, cube(2), [1], stopping=Stopping(generations=3))
    assert calls == [(1, 6, 2)] * 4
    assert (found.generations, found.reasons) == ((3,), ("generations",))
    budget = Stopping(generations=10**6, seconds=0.05)
    found = search(Rand1Bin(candidates=6), sphere, cube(2), [1], stopping=budget)
    assert found.reasons == ("seconds",)
    assert 0.05 <= found.seconds < 5
    assert found.generations[0] > 0


def test_an_interruption_keeps_what_was_found(
    kind: Kind, sphere: Fitness, cube: Callable[..., Box], tmp_path: Path
) -> None:
    strategy, rule = kind(candidates=6), Stopping(generations=20)
    kept = Checkpoint(tmp_path / "kept.safetensors", "p")
    left = [9]

    def interrupted(values: Tensor) -> Tensor:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return sphere(values)

    with pytest.raises(SearchInterrupted) as stop:
        search(strategy, interrupted, cube(2), [1, 2], stopping=rule, checkpoint=kept, every=1000)
    assert isinstance(stop.value, KeyboardInterrupt)
    assert stop.value.result.generations == (8, 8)
    assert stop.value.result.reasons == ("interrupted", "interrupted")
    resumed = search(strategy, sphere, cube(2), [1, 2], stopping=rule, checkpoint=kept)
    whole = search(strategy, sphere, cube(2), [1, 2], stopping=rule)
    assert torch.equal(resumed.state.population, whole.state.population)
    assert resumed.reasons == whole.reasons


def test_what_is_watched_is_told(sphere: Fitness, cube: Callable[..., Box]) -> None:
    class Counting:
        total: int | None = 0
        steps = 0

        def stage(self, name: str, total: int | None) -> None:
            assert name == "searching"
            self.total = total

        def note(self, text: str) -> None:
            """Listen to nothing."""

        def advance(self, n: int) -> None:
            self.steps += n

        def finish(self) -> None: ...

    seen: list[State] = []
    counting = Counting()
    found = search(
        Rand1Bin(candidates=6),
        sphere,
        cube(2),
        [1],
        stopping=Stopping(generations=12),
        progress=counting,
        on_generation=seen.append,
    )
    assert counting.steps == counting.total == len(seen) == 13
    assert seen[-1] is found.state


def test_a_fitness_that_is_never_known(cube: Callable[..., Box]) -> None:
    def nothing(values: Tensor) -> Tensor:
        return torch.full(values.shape[:2], math.nan)

    found = search(Rand1Bin(candidates=6), nothing, cube(2), [1])
    assert found.fitness.tolist() == [-math.inf]
    assert found.reasons == ("patience",)


def test_bad_requests_are_refused(sphere: Fitness, cube: Callable[..., Box]) -> None:
    with pytest.raises(SettingError, match="every 0 generations"):
        search(Rand1Bin(), sphere, cube(2), [1], every=0)
    with pytest.raises(SettingError, match="no seeds"):
        search(Rand1Bin(), sphere, cube(2), [])
    with pytest.raises(SettingError, match="return"):
        search(Rand1Bin(), lambda values: values.sum(), cube(2), [1])


@pytest.mark.parametrize("strategy", [Rand1Bin(candidates=12), Shade(candidates=12)])
def test_a_generation_in_place_is_the_same_generation(strategy: Strategy) -> None:
    """What a CUDA graph replays, without the graph."""
    captures: list[int] = []

    def capture(step: Callable[[], None], *, state: Sequence[Tensor]) -> Callable[[], None]:
        captures.append(len(state))
        return step

    def evaluate(values: Tensor) -> Tensor:
        return -values.double().square().sum(-1)

    box = Box(torch.full((5,), -3.0), torch.full((5,), 4.0))
    stopping = Stopping(generations=30)
    plain = search(strategy, evaluate, box, (1, 2), stopping=stopping)
    replayed = search(strategy, evaluate, box, (1, 2), stopping=stopping, capture=capture)
    assert len(captures) == 1
    assert torch.equal(plain.best, replayed.best)
    assert torch.equal(plain.state.population, replayed.state.population)
