"""Generations within the tensors of one state, as the replay of a CUDA graph needs them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import torch

from dnnrepair.evolve import draws
from dnnrepair.evolve.rand1bin import Rand1Bin, numbers
from dnnrepair.evolve.strategy import STREAM, checked
from dnnrepair.kernels import differing, runs_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from dnnrepair.evolve.state import State
    from dnnrepair.evolve.strategy import Strategy

_CANDIDATES, _WEIGHTS = 32, 16  # of a program, at most
_BEST = 1024  # candidates of which one program finds the best at once


class InPlace(Protocol):
    """A search whose state is overwritten, generation by generation."""

    def ask(self) -> Tensor:
        """Return the trials ``(S, P, k)``."""
        ...

    def tell(self, trials: Tensor, fitness: Tensor) -> None:
        """Take in the fitness ``(S, P)`` of these trials."""
        ...


def in_place(strategy: Strategy, state: State) -> InPlace:
    """Return what takes a state on; by three kernels instead of 130 where there are such.

    Args:
        strategy: how to search.
        state: of that strategy, with the numbers of one generation drawn ahead.
    """
    dense = all(x.is_contiguous() for x in (*state.tensors().values(), *state.ahead.now))
    if isinstance(strategy, Rand1Bin) and runs_on(state.population) and dense:
        reason = _distrust(strategy, state)
        if not reason:
            return Fused.of(strategy, state)
        warnings.warn(f"searching without fused kernels: {reason}", stacklevel=2)
    return Plain(strategy, state)


def _distrust(strategy: Rand1Bin, state: State) -> str:
    """Return why the kernels are not to be used here: one generation is compared."""

    def found(kind: Callable[[State], InPlace]) -> Iterator[Tensor]:
        held = {name: value.clone() for name, value in state.tensors().items()}
        copy = state.holding(held, strategy.drawing(state))
        inside = kind(copy)
        trials = inside.ask()
        inside.tell(trials, trials.sum(-1, dtype=torch.float64))
        yield from (trials, *copy.tensors().values(), *copy.ahead.now)

    return differing(
        lambda: found(partial(Fused.of, strategy)), lambda: found(partial(Plain, strategy))
    )


@dataclass(frozen=True, slots=True)
class Plain:
    """Asks and tells a strategy, and copies what it returns."""

    strategy: Strategy
    state: State

    def ask(self) -> Tensor:
        """Return the trials."""
        return self.strategy.ask(self.state)

    def tell(self, trials: Tensor, fitness: Tensor) -> None:
        """Take in their fitness."""
        self.state.copy_(self.strategy.tell(self.state, trials, fitness))


@dataclass(frozen=True, slots=True)
class Fused:
    """The same for rand/1/bin, by kernels.

    Attributes:
        state: with contiguous tensors.
        dither: the least scale and the width of its range, float64.
        chance: of a weight to cross, in units of 2**-53.
        bounds: lower and upper, contiguous.
        grid: programs of a launch.
        block: candidates and weights of a program.
    """

    state: State
    dither: Tensor
    chance: int
    bounds: tuple[Tensor, Tensor]
    grid: tuple[int, int, int]
    block: dict[str, int]

    @classmethod
    def of(cls, strategy: Rand1Bin, state: State) -> Fused:
        """Prepare the launches."""
        searches, members, weights = state.population.shape
        low, high = strategy.scale
        least, wide = min(_CANDIDATES, members), min(_WEIGHTS, weights)
        block = {"BP": 1 << (least - 1).bit_length(), "BK": 1 << (wide - 1).bit_length()}
        device = state.population.device
        return cls(
            state=state,
            dither=torch.tensor([low, high - low], dtype=torch.float64, device=device),
            chance=draws.units_of(strategy.crossover),
            bounds=(state.box.low.contiguous(), state.box.high.contiguous()),
            grid=(-(-members // block["BP"]), searches, -(-weights // block["BK"])),
            block=block,
        )

    def ask(self) -> Tensor:
        """Return the trials."""
        from dnnrepair.kernels import generations

        population = self.state.population
        low, high = self.bounds
        trials = torch.empty_like(population)
        sizes = (*population.shape, low.shape[-1] if low.dim() > 1 else 0)
        self._launch(generations.ask_program, population, *self._drawn(), low, high, trials, *sizes)
        return trials

    def tell(self, trials: Tensor, fitness: Tensor) -> None:
        """Take in their fitness, and draw for the next generation."""
        from dnnrepair.kernels import generations

        state = self.state
        found = checked(state, trials, fitness).contiguous()
        self._launch(
            generations.tell_program,
            trials.contiguous(),
            found,
            *(state.population, state.fitness, state.generation),
            *(state.best_fitness, state.stale, state.active.view(torch.uint8), state.age),
            *state.population.shape[1:],
            BEST=_BEST,
        )
        self._launch(
            generations.draw_program,
            *(state.seeds, state.generation, self.dither),
            *self._drawn(),
            self.chance,
            *state.population.shape,
            STREAM=STREAM,
        )

    def _drawn(self) -> tuple[Tensor, Tensor, Tensor]:
        scale, donors, crosses = numbers(self.state)
        return scale, donors, crosses.view(torch.uint8)

    def _launch(self, program: Any, *arguments: Any, **constants: Any) -> None:  # noqa: ANN401 - Triton's
        with torch.cuda.device_of(self.dither):
            program[self.grid](*arguments, **constants, **self.block, enable_fp_fusion=False)
