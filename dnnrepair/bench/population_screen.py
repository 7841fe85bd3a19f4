"""Candidates per second on a CUDA device where products of rounded numbers screen them.

Whole generations: all candidates are evaluated with rounded products, and those that may be as fit
as their parents a second time, with those of float32. So nothing rounded is ever accepted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dnnrepair.bench.contest import CHECKED, prepared, relative_difference
from dnnrepair.bench.population_cuda import SAMPLES, SIZES, CudaRow, wall_rate
from dnnrepair.bench.recipes import recipe_named
from dnnrepair.bench.searches import ground
from dnnrepair.bench.workloads import prepare
from dnnrepair.evolve.in_place import in_place
from dnnrepair.evolve.rand1bin import Rand1Bin
from dnnrepair.kernels import screened
from dnnrepair.population import EvaluatorSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch
    from torch import Tensor

    from dnnrepair.bench.recipes import Recipe
    from dnnrepair.bench.workloads import Workload
    from dnnrepair.evolve.in_place import InPlace
    from dnnrepair.population import Evaluator

SCREENED = "conv, 9 channels"
PRECISIONS = ("tf32", "bf16")
_SAFETY = 4.0  # times the largest rounding error of the first population


def measure(device: torch.device, seed: int, samples: int = SAMPLES) -> list[CudaRow]:
    """Return a row for each P and precision."""
    return list(rows_of(recipe_named(SCREENED), samples, SIZES, device, seed))


def rows_of(
    recipe: Recipe, samples: int, sizes: Sequence[int], device: torch.device, seed: int
) -> Iterator[CudaRow]:
    """Yield the rows of a network."""
    workload = prepare(recipe, samples, seed)
    workload = replace(workload, module=workload.module.to(device))
    exact = prepared(workload)
    checked = workload.candidates(CHECKED, seed + 1).to(device)
    wanted = exact(checked)
    for precision in PRECISIONS:
        fast = prepared(workload, EvaluatorSettings(precision=precision))
        error = relative_difference(fast(checked), wanted)
        for size in sizes:
            search = Screening.of(workload, fast, exact, size, device)
            rate = wall_rate(search.step, size, device)
            yield CudaRow(
                workload=recipe.name,
                candidates=size,
                rate=rate,
                difference=error,
                screen=precision,
                notes=(f"{search.again:.0%} evaluated again",),
            )


@dataclass(slots=True)
class Screening:
    """A search whose candidates are screened.

    Attributes:
        fast, exact: evaluators, with rounded products and without.
        search: asks and tells.
        fitness: of the parents, ``(1, P)``.
        slack: how far the fast fitness may lie below the exact one.
        all: candidates so far.
        survived: those of them that were evaluated again.
    """

    fast: Evaluator
    exact: Evaluator
    search: InPlace
    fitness: Tensor
    slack: float
    all: int = 0
    survived: int = 0

    @classmethod
    def of(
        cls,
        workload: Workload,
        fast: Evaluator,
        exact: Evaluator,
        size: int,
        device: torch.device,
    ) -> Screening:
        """Begin a search; its first population tells how large rounding errors are."""
        box, start = ground(workload, device)
        strategy = Rand1Bin(candidates=size)
        state = strategy.init((0,), box, start, ahead=1)
        first = state.population[0]
        slack = _SAFETY * float((fast(first) - exact(first)).abs().max())
        return cls(fast, exact, in_place(strategy, state), state.fitness, slack)

    @property
    def again(self) -> float:
        """The share of candidates that were evaluated again."""
        return self.survived / max(1, self.all)

    def step(self) -> None:
        """Take a generation."""
        trials = self.search.ask()
        found = screened(self.fast, self._exact, self.fitness[0], self.slack)(trials[0])
        self.search.tell(trials, found.unsqueeze(0))
        self.all += len(found)

    def _exact(self, values: Tensor) -> Tensor:
        self.survived += len(values)
        return self.exact(values)
