"""Where a batch of searches stands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dnnrepair.evolve.box import Box  # noqa: TC001 - a field of a dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Draw = Callable[[Tensor], tuple[Tensor, ...]]  # generations (B,) to numbers, each (B, ...)


@dataclass(frozen=True, slots=True)
class Ahead:
    """The random numbers of some generations, drawn together because that is cheaper.

    They do not depend on how many are drawn together. With one at a time nothing here depends on
    the host, and a generation can be captured in a CUDA graph.

    Attributes:
        drawn: the numbers of each generation.
        place: how many of these generations are over.
    """

    drawn: tuple[tuple[Tensor, ...], ...]
    place: int = 0

    @classmethod
    def of(cls, draw: Draw, generation: Tensor, count: int) -> Ahead:
        """Draw the numbers of ``count`` generations from ``generation`` on, a scalar tensor."""
        numbers = draw(generation + torch.arange(count, device=generation.device))
        return cls(tuple(zip(*(part.unbind() for part in numbers), strict=True)))

    @property
    def now(self) -> tuple[Tensor, ...]:
        """The numbers of this generation."""
        return self.drawn[self.place]

    def step(self, draw: Draw, generation: Tensor) -> Ahead:
        """Go on to ``generation``, the next one."""
        if self.place + 1 < len(self.drawn):
            return Ahead(self.drawn, self.place + 1)
        return Ahead.of(draw, generation, len(self.drawn))


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """S searches of P candidates for k weights; fitness is maximized.

    Attributes:
        seeds: int64 ``(S,)``.
        box: what the searches may not leave.
        population: ``(S, P, k)``, of the type of the box.
        fitness: float64 ``(S, P)``; -inf where it is not known or was NaN.
        generation: int64 scalar, which the next trials are of; those of 0 are the population.
        best_fitness: float64 ``(S,)``; -inf if none is known.
        stale: int64 ``(S,)``, generations since the best fitness last rose.
        active: bool ``(S,)``; a search that is not stays as it is.
        age: int64 ``(S,)``, how often the search was told something while it was active.
        memory: what else the strategy remembers, each ``(S, ...)``.
        ahead: the random numbers; follow from the rest.
    """

    seeds: Tensor
    box: Box
    population: Tensor
    fitness: Tensor
    generation: Tensor
    best_fitness: Tensor
    stale: Tensor
    active: Tensor
    age: Tensor
    memory: tuple[Tensor, ...] = ()
    ahead: Ahead

    @property
    def best(self) -> Tensor:
        """The fittest candidate of each search, ``(S, k)``; the first of equals."""
        searches = torch.arange(len(self.seeds), device=self.seeds.device)
        return self.population[searches, self.fitness.argmax(dim=1)]

    def tensors(self) -> dict[str, Tensor]:
        """Return by name all that changes from generation to generation."""
        memory = {f"memory.{i}": part for i, part in enumerate(self.memory)}
        return {name: getattr(self, name) for name in _CHANGING} | memory

    def holding(self, tensors: Mapping[str, Tensor], draw: Draw) -> State:
        """Return the state whose :meth:`tensors` these are."""
        memory = tuple(tensors[f"memory.{i}"] for i in range(len(self.memory)))
        ahead = Ahead.of(draw, tensors["generation"], len(self.ahead.drawn))
        return replace(
            self,
            population=tensors["population"],
            fitness=tensors["fitness"],
            generation=tensors["generation"],
            best_fitness=tensors["best_fitness"],
            stale=tensors["stale"],
            active=tensors["active"],
            age=tensors["age"],
            memory=memory,
            ahead=ahead,
        )

    def copy_(self, other: State) -> None:
        """Take on the values of another state in place, as the replay of a CUDA graph needs it."""
        mine, theirs = self.tensors(), other.tensors()
        for name, tensor in mine.items():
            tensor.copy_(theirs[name])
        for target, source in zip(self.ahead.now, other.ahead.now, strict=True):
            target.copy_(source)


_CHANGING = ("population", "fitness", "generation", "best_fitness", "stale", "active", "age")
