"""What every strategy can do, and the steps that they share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Protocol

import torch

from dnnrepair.errors import SettingError
from dnnrepair.evolve import draws
from dnnrepair.evolve.start import Uniform
from dnnrepair.evolve.state import Ahead, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from dnnrepair.evolve.box import Box
    from dnnrepair.evolve.start import Start
    from dnnrepair.evolve.state import Draw

STREAM = 1  # the numbers of the generations
_LEAST = 4  # candidates, so that each has three others
_MOST = 2**20  # candidates, so that integer sums and draws are sound


class Strategy(Protocol):
    """A way to search; its fields are its settings.

    Attributes:
        name: what it is called.
    """

    name: ClassVar[str]

    @property
    def candidates(self) -> int:
        """The number P of candidates."""
        ...

    def init(
        self, seeds: Sequence[int], box: Box, start: Start | None = None, *, ahead: int = 16
    ) -> State:
        """Return S searches before their first generation.

        Args:
            seeds: one for each search.
            box: what they may not leave.
            start: draws the population; uniform in the box if None.
            ahead: generations whose numbers are drawn together; results do not depend on it.
        """
        ...

    def ask(self, state: State) -> Tensor:
        """Return the trials ``(S, P, k)``; in generation 0 the population itself."""
        ...

    def tell(self, state: State, trials: Tensor, fitness: Tensor) -> State:
        """Return the state after the fitness ``(S, P)`` of these trials; NaN is worst of all."""
        ...

    def drawing(self, state: State) -> Draw:
        """Return how the state's random numbers are drawn."""
        ...


def begin(seeds: Sequence[int], box: Box, start: Start | None, candidates: int) -> State:
    """Return searches that know nothing of their population yet, without numbers ahead.

    Raises:
        SettingError: if the box or the start do not fit the seeds.
    """
    box.check_searches(len(seeds))
    device = box.low.device
    as_words = draws.seed_words(seeds, device)
    zeros = torch.zeros(len(seeds), dtype=torch.int64, device=device)
    unknown = torch.full((len(seeds), candidates), -torch.inf, dtype=torch.float64, device=device)
    return State(
        seeds=as_words,
        box=box,
        population=(start or Uniform())(as_words, box, candidates),
        fitness=unknown,
        generation=torch.zeros((), dtype=torch.int64, device=device),
        best_fitness=unknown[:, 0].clone(),
        stale=zeros,
        active=torch.ones(len(seeds), dtype=torch.bool, device=device),
        age=zeros.clone(),
        ahead=Ahead(()),
    )


def select(state: State, trials: Tensor, fitness: Tensor, draw: Draw) -> State:
    """Return the state with each trial that is at least as fit as its parent in its place.

    A NaN is not, and a parent of unknown fitness yields to everything else. The strategy's memory
    is left as it is.
    """
    accepted = (fitness >= state.fitness) & state.active[:, None]
    kept = torch.where(accepted, fitness, state.fitness)
    best = kept.amax(dim=1)
    generation = state.generation + 1
    return replace(
        state,
        population=torch.where(accepted[..., None], trials, state.population),
        fitness=kept,
        generation=generation,
        best_fitness=best,
        stale=(state.stale + state.active) * (best <= state.best_fitness),
        age=state.age + state.active,
        ahead=state.ahead.step(draw, generation),
    )


def checked(state: State, trials: Tensor, fitness: Tensor) -> Tensor:
    """Return the fitness as float64.

    Raises:
        SettingError: if the trials or their fitness are not of the shape that was asked for.
    """
    if trials.shape != state.population.shape or fitness.shape != state.fitness.shape:
        message = (
            f"trials of shape {tuple(trials.shape)} have a fitness of shape "
            f"{tuple(fitness.shape)}; for {tuple(state.population.shape)} (searches, candidates, "
            f"weights), return {tuple(state.fitness.shape)}"
        )
        raise SettingError(message)
    return fitness.to(torch.float64)


def check_candidates(candidates: int) -> None:
    """Make sure that each candidate has three others, and is drawn evenly.

    Raises:
        SettingError: if it has not, or cannot be.
    """
    if not _LEAST <= candidates <= _MOST:
        amount = "few" if candidates < _LEAST else "many"
        message = (
            f"{candidates} candidates are too {amount} for differential evolution; "
            f"set {_LEAST} to {_MOST}"
        )
        raise SettingError(message)


def check_share(name: str, value: float, *, above: float = 0.0, up_to: float = 1.0) -> None:
    """Make sure that a setting lies in its range, its ends included.

    Raises:
        SettingError: if it does not.
    """
    if not above <= value <= up_to:
        message = f"{name} = {value} is out of range; set a number in [{above:g}, {up_to:g}]"
        raise SettingError(message)
