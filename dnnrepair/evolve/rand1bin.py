"""Differential evolution with rand/1/bin, as Arachne has it but for when a winner moves in.

A generation is asked for at once, so winners replace their parents at its end; Arachne does it
inside the generation, as :mod:`dnnrepair.evolve.asynchronous` does, and needs a fifth fewer of them
on smooth functions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple, cast

import torch
from torch import Tensor

from dnnrepair.evolve import draws
from dnnrepair.evolve.state import Ahead
from dnnrepair.evolve.strategy import STREAM, begin, check_candidates, check_share, checked, select

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnnrepair.evolve.box import Box
    from dnnrepair.evolve.start import Start
    from dnnrepair.evolve.state import Draw, State

_MOST_SCALE = 2.0


class Numbers(NamedTuple):
    """The random numbers of a generation; with a dimension more, of several.

    Attributes:
        scale: of the difference, ``(S, 1, 1)``.
        donors: rows of ``population.flatten(0, 1)``, all a, all b, then all c; ``(3 * S * P,)``.
        crosses: which weights are taken from the mutant, ``(S, P, k)``; in generation 0 none.
    """

    scale: Tensor
    donors: Tensor
    crosses: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Rand1Bin:
    """``a + scale (b - c)`` crossed with the parent (Storn and Price 1997).

    The scale is drawn once per generation (dither). What leaves the box is clipped.

    Attributes:
        candidates: P, at least 4.
        crossover: the chance of a weight to come from the mutant, in [0, 1]; one always does.
        scale: the range of the scale, in [0, 2].
    """

    name: ClassVar[str] = "rand1bin"
    candidates: int = 100
    crossover: float = 0.7
    scale: tuple[float, float] = (0.5, 1.0)

    def __post_init__(self) -> None:
        """Refuse settings out of range with a SettingError."""
        check_candidates(self.candidates)
        check_share("crossover", self.crossover)
        check_share("scale", self.scale[1], up_to=_MOST_SCALE)
        check_share("scale", self.scale[0], up_to=self.scale[1])

    def init(
        self, seeds: Sequence[int], box: Box, start: Start | None = None, *, ahead: int = 16
    ) -> State:
        """Return one search for each seed, before its first generation."""
        state = begin(seeds, box, start, self.candidates)
        return replace(state, ahead=Ahead.of(self.drawing(state), state.generation, ahead))

    def ask(self, state: State) -> Tensor:
        """Return the trials ``(S, P, k)``."""
        scale, donors, crosses = state.ahead.now
        parents = state.population
        rows = parents.flatten(0, 1).index_select(0, donors)
        a, b, c = rows.view(3, *parents.shape).unbind()
        return torch.where(crosses, state.box.clip(a + scale * (b - c)), parents)

    def tell(self, state: State, trials: Tensor, fitness: Tensor) -> State:
        """Return the state after the fitness ``(S, P)`` of these trials."""
        return select(state, trials, checked(state, trials, fitness), self.drawing(state))

    def drawing(self, state: State) -> Draw:
        """Return how the numbers of generations are drawn, as :class:`Numbers`."""
        return lambda generations: self._draw(state, generations)

    def _draw(self, state: State, generations: Tensor) -> Numbers:
        searches, members, weights = state.population.shape
        word = draws.words(
            draws.keys(state.seeds, STREAM, generations), 1 + members * (4 + weights)
        )
        each = word[..., 1:].view(len(generations), searches, members, 4 + weights)
        return Numbers(
            self._scale(word[..., 0]).to(state.population.dtype)[..., None, None],
            donor_rows(draws.distinct(each[..., :3])),
            draws.chance(each[..., 4:], self.crossover)
            .logical_or_(forced(each[..., 3], weights))
            .logical_and_(begun(generations)),
        )

    def _scale(self, word: Tensor) -> Tensor:
        low, high = self.scale
        return draws.uniform(word) * (high - low) + low


def numbers(state: State) -> Numbers:
    """Return the numbers of the state's generation."""
    return Numbers(*cast("tuple[Tensor, Tensor, Tensor]", state.ahead.now))


def donor_rows(donors: Tensor) -> Tensor:
    """Return ``(B, S, P, n)`` members as rows of a flattened population, ``(B, n * S * P)``."""
    searches, members = donors.shape[1:3]
    firsts = torch.arange(0, searches * members, members, device=donors.device)
    return (donors + firsts[:, None, None]).movedim(-1, 1).flatten(1)


def forced(word: Tensor, weights: int) -> Tensor:
    """Return for each word ``(*,)`` one true among ``(*, weights)``."""
    return draws.below(word, weights)[..., None] == torch.arange(weights, device=word.device)


def begun(generations: Tensor) -> Tensor:
    """Return ``(B, 1, 1, 1)``: whether a generation is after that of the first population."""
    return (generations > 0)[:, None, None, None]
