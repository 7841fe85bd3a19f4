"""Success-history based adaptive differential evolution: SHADE (Tanabe and Fukunaga, CEC 2013).

Its mutation and archive are those of JADE (Zhang and Sanderson, IEEE TEC 13(5), 2009).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch
from torch import Tensor

from dnnrepair.evolve import draws
from dnnrepair.evolve.history import History, remember
from dnnrepair.evolve.rand1bin import begun, forced
from dnnrepair.evolve.state import Ahead
from dnnrepair.evolve.strategy import STREAM, begin, check_candidates, check_share, checked, select

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnnrepair.evolve.box import Box
    from dnnrepair.evolve.start import Start
    from dnnrepair.evolve.state import Draw, State

_SPREAD = 0.1  # of the rates about what is remembered (SHADE, Eqs. 16 and 17)
_TRIES = 4  # at a positive scale; all fail with a chance of 1/16 at worst, 2e-5 at a scale of 1/2
_WORDS = 7 + _TRIES  # per candidate, besides one for each weight
_NEVER = 2.0  # no crossover rate is above it


class Numbers(NamedTuple):
    """The random numbers of a generation; with a dimension more, of several.

    Attributes:
        slot: which memory a candidate uses, ``(S, P)``.
        crossover: what is added to the remembered rate, ``(S, P)``.
        scale: what is added to the remembered scale, tries in order, ``(S, P, tries)``.
        best: rank of the fit candidate that it is drawn to, ``(S, P)``.
        first: row of the first donor in the population, ``(S, P)``.
        second: the word that chooses the second from population and archive, ``(S, P)``.
        low: the lesser of candidate and first donor, ``(S, P)``.
        high: the greater of them.
        crosses: a weight is taken from the mutant where this is below the rate, ``(S, P, k)``.
        keep: the words that choose what stays in the archive, ``(S, A + P)``.
    """

    slot: Tensor
    crossover: Tensor
    scale: Tensor
    best: Tensor
    first: Tensor
    second: Tensor
    low: Tensor
    high: Tensor
    crosses: Tensor
    keep: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Shade:
    """``x + F (best - x) + F (r1 - r2)`` crossed with x; F and the rate learn from success.

    ``best`` is one of the fittest, r2 may come from an archive of replaced parents. What leaves
    the box lands halfway between the parent and the border.

    Attributes:
        candidates: P, at least 4.
        greed: the largest share of candidates that count as the fittest, in (0, 1]; each draws
            its own between 2 / P and this.
        memory: H, how many generations of success are remembered, at least 1.
        archive: the size of the archive over P, in [0, 10].
    """

    name: ClassVar[str] = "shade"
    candidates: int = 100
    greed: float = 0.2
    memory: int = 100
    archive: float = 1.0

    def __post_init__(self) -> None:
        """Refuse settings out of range with a SettingError."""
        check_candidates(self.candidates)
        check_share("greed", self.greed)
        check_share("memory", self.memory, above=1, up_to=1_000_000)
        check_share("archive", self.archive, up_to=10)

    def init(
        self, seeds: Sequence[int], box: Box, start: Start | None = None, *, ahead: int = 16
    ) -> State:
        """Return one search for each seed, before its first generation."""
        state = begin(seeds, box, start, self.candidates)
        history = History.empty(state.population, self.memory, self._room)
        state = replace(state, memory=history)
        return replace(state, ahead=Ahead.of(self.drawing(state), state.generation, ahead))

    def ask(self, state: State) -> Tensor:
        """Return the trials ``(S, P, k)``."""
        parents = state.population
        drawn, history = _numbers(state), History.of(state)
        scale, crossover = _rates(drawn, history)
        best, first, second = _donors(state, drawn, history)
        step = scale.to(parents.dtype)[..., None]
        mutant = parents + step * (best - parents) + step * (first - second)
        inside = state.box.clip(mutant)
        mutant = torch.where(inside == mutant, mutant, (inside + parents) / 2)
        crosses = drawn.crosses < crossover[..., None]
        return torch.where(crosses, state.box.clip(mutant), parents)

    def tell(self, state: State, trials: Tensor, fitness: Tensor) -> State:
        """Return the state after the fitness ``(S, P)`` of these trials."""
        fitness = checked(state, trials, fitness)
        drawn, history = _numbers(state), History.of(state)
        gain = fitness - state.fitness  # not finite where either is unknown: no lesson in that
        gain = torch.where((gain > 0) & (gain < torch.inf) & state.active[:, None], gain, 0.0)
        history = remember(history, state.population, gain, _rates(drawn, history), drawn.keep)
        return replace(
            select(state, trials, fitness, self.drawing(state)),
            memory=history,
        )

    def drawing(self, state: State) -> Draw:
        """Return how the numbers of generations are drawn, as :class:`Numbers`."""
        return lambda generations: self._draw(state, generations)

    @property
    def _room(self) -> int:
        return round(self.archive * self.candidates)

    def _draw(self, state: State, generations: Tensor) -> Numbers:
        _, members, weights = state.population.shape
        kept = members + self._room
        width = _WORDS + weights
        key = draws.keys(state.seeds, STREAM, generations)
        word = draws.words(key, kept + members * width)
        each = word[..., kept:].unflatten(-1, (members, width))
        first = draws.distinct(each[..., :3])[..., 0]
        target = torch.arange(members, device=word.device)
        crosses = draws.uniform(each[..., _WORDS:])
        crosses = crosses.masked_fill(forced(each[..., 4], weights), -1.0)
        return Numbers(
            slot=draws.below(each[..., 3], self.memory),
            crossover=draws.normal(each[..., 5]) * _SPREAD,
            scale=draws.cauchy(each[..., 7 : 7 + _TRIES]) * _SPREAD,
            best=self._ranks(each[..., 1], each[..., 2]),
            first=first,
            second=each[..., 6],
            low=torch.minimum(first, target),
            high=torch.maximum(first, target),
            crosses=crosses.masked_fill(~begun(generations), _NEVER),
            keep=word[..., :kept],
        )

    def _ranks(self, share: Tensor, word: Tensor) -> Tensor:
        """Return ranks among the fittest, ``p ~ U(2 / P, greed)`` of all (SHADE, Eq. 19)."""
        least = 2 / self.candidates
        most = max(self.greed, least)
        p = draws.uniform(share) * (most - least) + least
        return draws.below(word, (p * self.candidates).to(torch.int64))


def _numbers(state: State) -> Numbers:
    return Numbers(*state.ahead.now)


def _rates(drawn: Numbers, history: History) -> tuple[Tensor, Tensor]:
    """Return scale in (0, 1] and crossover rate in [0, 1] of each candidate, both ``(S, P)``."""
    slot = drawn.slot[:, None].expand(-1, 2, -1)
    scales, crossovers = history.rates.gather(2, slot).unbind(dim=1)
    tries = scales[..., None] + drawn.scale
    which = (
        (tries > 0).to(torch.uint8).argmax(dim=-1, keepdim=True)
    )  # the first that is; else try 0
    scale = tries.gather(-1, which)[..., 0].abs().clamp(max=1.0)
    return scale, (crossovers + drawn.crossover).clamp(0.0, 1.0)


def _donors(state: State, drawn: Numbers, history: History) -> tuple[Tensor, Tensor, Tensor]:
    """Return one of the fittest, a member, and a member or archived one, each ``(S, P, k)``."""
    members = state.population.shape[1]
    order = state.fitness.argsort(dim=1, descending=True, stable=True)
    second = draws.below(drawn.second, members - 2 + history.archived[:, None])
    second = second + (second >= drawn.low)  # skips the candidate and the first donor
    second = second + (second >= drawn.high)
    chosen = torch.cat((order.gather(1, drawn.best), drawn.first, second), dim=1)
    known = torch.cat((state.population, history.archive), dim=1)
    rows = known.gather(1, chosen[..., None].expand(-1, -1, known.shape[2]))
    best, other, last = rows.unflatten(1, (3, members)).unbind(dim=1)
    return best, other, last
