"""Arachne's own form of the search, one trial at a time in plain Python: what the rest is held to.

Draws what :class:`~dnnrepair.evolve.rand1bin.Rand1Bin` draws, so that only the order differs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.evolve.rand1bin import Numbers, Rand1Bin

if TYPE_CHECKING:
    from collections.abc import Callable

    from dnnrepair.evolve.box import Box
    from dnnrepair.evolve.start import Start

    One = Callable[[list[float]], float]


@dataclass(frozen=True, slots=True)
class Found:
    """A population of P candidates for k weights, and the fitness of each."""

    population: list[list[float]]
    fitness: list[float]


def search_sequentially(
    strategy: Rand1Bin,
    evaluate: One,
    box: Box,
    seed: int,
    *,
    start: Start | None = None,
    generations: int = 100,
    at_once: bool = True,
) -> Found:
    """Search with one seed in a float64 box ``(k,)``, one candidate after another.

    Args:
        strategy: its settings hold here too.
        evaluate: the fitness of k weights, to be maximized.
        box: what the search may not leave.
        seed: of the random numbers.
        start: draws the population; uniform in the box if None.
        generations: after that of the first population.
        at_once: whether a winner replaces its parent before the next target's turn, as in Arachne,
            and not at the end of the generation, as in the strategy.
    """
    state = strategy.init([seed], box, start, ahead=1)
    drawn = strategy.drawing(state)(torch.arange(generations + 1))
    population: list[list[float]] = state.population[0].tolist()
    fitness = [_known(evaluate(member)) for member in population]
    for generation in range(1, generations + 1):
        numbers = Numbers(*(part[generation] for part in drawn))
        parents, known = (population, fitness) if at_once else (population[:], fitness[:])
        for target in range(len(population)):
            trial = _trial(parents, target, numbers, box)
            value = evaluate(trial)
            if value >= known[target]:
                population[target], fitness[target] = trial, value
    return Found(population, fitness)


def _known(fitness: float) -> float:
    return -math.inf if math.isnan(fitness) else fitness


def _trial(population: list[list[float]], target: int, numbers: Numbers, box: Box) -> list[float]:
    members = len(population)
    a, b, c = (population[int(numbers.donors[i * members + target])] for i in range(3))
    scale = float(numbers.scale)
    bounds = zip(box.low.tolist(), box.high.tolist(), strict=True)
    differences = (y - z for y, z in zip(b, c, strict=True))
    mutant = [
        min(max(x + scale * difference, low), high)
        for x, difference, (low, high) in zip(a, differences, bounds, strict=True)
    ]
    chosen = zip(numbers.crosses[0, target].tolist(), mutant, population[target], strict=True)
    return [new if crossed else old for crossed, new, old in chosen]
