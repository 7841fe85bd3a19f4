"""Candidates per second on a CUDA device: whole generations, each replayed from a CUDA graph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

import torch
from torch import nn

from dnnrepair.bench import loops
from dnnrepair.bench.contest import CHECKED, prepared, relative_difference
from dnnrepair.bench.recipes import RECIPES, Recipe
from dnnrepair.bench.requirements import at_least
from dnnrepair.bench.result import Table
from dnnrepair.bench.searches import ground
from dnnrepair.bench.splits import Split
from dnnrepair.bench.workloads import prepare
from dnnrepair.evolve.in_place import in_place
from dnnrepair.evolve.rand1bin import Rand1Bin
from dnnrepair.kernels import captured

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dnnrepair.bench.result import Figure
    from dnnrepair.bench.workloads import Workload
    from dnnrepair.population import Evaluator

SAMPLES = 2000  # N
SIZES = (100, 400)  # P
BOUNDS = {  # candidates per second on an H200, by workload and P
    ("head", 100): 4e6,
    ("head", 400): 12e6,
    ("hidden", 100): 4e6,
    ("hidden", 400): 12e6,
    ("conv, 9 channels", 100): 28_000.0,
}
DENSE_SHARE = 0.6  # of the rate of a plain matrix product
JUDGED_ON = "H200"
_WIDTH, _DENSE = 1024, 4  # of the dense network, and how many of its layers see only dense values
_ROWS = 1 << 15  # of the plain matrix product
_CALLS = 20  # between two looks at the clock, for which the host has to wait


def _deep() -> nn.Module:
    hidden = [m for _ in range(_DENSE + 2) for m in (nn.Linear(_WIDTH, _WIDTH), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(_WIDTH, 10))


DENSE = Recipe(
    name="dense suffix",
    make=_deep,
    inputs=lambda n, rng: torch.randn(n, _WIDTH, generator=rng),
    layers=("0.weight",),
    width=_WIDTH,
    split=Split(lambda _, x: (x,), lambda module, x: module(x)),
)
DENSE_FLOP = 2.0 * _DENSE * _WIDTH**2  # per candidate and input; the rest is a hundredth of it


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaRow:
    """What was measured for one network and P.

    Attributes:
        workload: its name.
        candidates: P.
        rate: candidates per second of wall clock, the search's bookkeeping included.
        difference: largest relative difference of fitness from the naive loop on the CPU; of a
            screen from the evaluation in float32.
        share: FLOP of the dense suffix over that of a plain product; None for other networks.
        screen: precision of the products that screen candidates, "" if none are screened.
        notes: why a generation was not captured, if it was not.
    """

    workload: str
    candidates: int
    rate: float
    difference: float
    share: float | None = None
    screen: str = ""
    notes: tuple[str, ...] = ()


def measure(device: torch.device, seed: int, samples: int = SAMPLES) -> list[CudaRow]:
    """Return a row for each network and P."""
    wanted = {name for name, _ in BOUNDS}
    recipes = [recipe for recipe in RECIPES if recipe.name in wanted]
    return [row for r in (*recipes, DENSE) for row in rows_of(r, samples, SIZES, device, seed)]


def rows_of(
    recipe: Recipe, samples: int, sizes: Sequence[int], device: torch.device, seed: int
) -> list[CudaRow]:
    """Return a row for each P."""
    workload = prepare(recipe, samples, seed)
    values = workload.candidates(CHECKED, seed + 1)
    expected = loops.naive(workload)(values).fitness
    there = replace(workload, module=workload.module.to(device))
    evaluator = prepared(there)
    found = evaluator(values.to(device)).cpu()
    plain = matmul_rate(device) if recipe is DENSE else None
    rows = []
    for size in sizes:
        notes: list[str] = []
        rate = wall_rate(generation(there, evaluator, size, device, notes), size, device)
        rows.append(
            CudaRow(
                workload=recipe.name,
                candidates=size,
                rate=rate,
                difference=relative_difference(found, expected),
                share=rate * samples * DENSE_FLOP / plain if plain else None,
                notes=tuple(notes),
            )
        )
    return rows


def generation(
    workload: Workload, evaluator: Evaluator, size: int, device: torch.device, notes: list[str]
) -> Callable[[], None]:
    """Return what asks, evaluates and tells once, captured on a CUDA device where it can be."""
    box, start = ground(workload, device)
    strategy = Rand1Bin(candidates=size)
    state = strategy.init((0,), box, start, ahead=1)

    inside = in_place(strategy, state)

    def step() -> None:
        trials = inside.ask()
        inside.tell(trials, evaluator(trials))

    if device.type != "cuda":
        return step
    return captured(step, state=(*state.tensors().values(), *state.ahead.now), notes=notes)


def matmul_rate(device: torch.device, rows: int = _ROWS, turns: int = 5) -> float:
    """Return FLOP per second of a plain product of the dense network's shape."""
    left = torch.randn(rows, _WIDTH, device=device)
    right = torch.randn(_WIDTH, _WIDTH, device=device)
    product = torch.empty_like(left)
    work = partial(torch.mm, left, right, out=product)
    return wall_rate(work, 2.0 * rows * _WIDTH**2, device, turns)


def wall_rate(
    step: Callable[[], object], amount: float, device: torch.device, turns: int = 5
) -> float:
    """Return the median amount per second of wall clock, device included.

    Args:
        step: does so much of it at a call.
        amount: in any unit.
        device: whose work is waited for.
        turns: how often to time; one more, before them, warms up.
    """
    rates = []
    with torch.no_grad():
        for _ in range(turns + 1):
            _wait(device)
            begin = perf_counter()
            for _ in range(_CALLS):
                step()
            _wait(device)
            rates.append(_CALLS * amount / (perf_counter() - begin))
    return median(rates[1:])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def figures(rows: Sequence[CudaRow], device: str) -> tuple[Figure, ...]:
    """Return the required figures, without a value where there are no rows.

    Rates are required of an H200; those of another device are given but not judged. With a screen
    or without: a search accepts nothing but exact fitness either way.
    """
    rates: dict[tuple[str, int], float] = {}
    for row in rows:
        key = row.workload, row.candidates
        rates[key] = max(row.rate, rates.get(key, 0.0))
    required = [
        at_least(
            f"{name}, P = {size}: candidates per second on CUDA", bound, rates.get((name, size))
        )
        for (name, size), bound in BOUNDS.items()
    ]
    if JUDGED_ON not in device:
        required = [replace(figure, met=None) for figure in required]
    share = max((row.share for row in rows if row.share is not None), default=None)
    dense = at_least("dense suffix: share of the matmul rate on CUDA", DENSE_SHARE, share)
    return (*required, dense)


def table(rows: Sequence[CudaRow], device: str) -> Table:
    """Return what was measured on a device."""
    return Table(
        f"candidates per second of wall clock on {device} (N = {SAMPLES:,}, whole generations)",
        ("workload", "P", "screen", "rate", "share of matmul", "relative difference", "notes"),
        tuple(
            (
                row.workload,
                str(row.candidates),
                row.screen or "-",
                f"{row.rate:,.0f}",
                "-" if row.share is None else f"{row.share:.0%}",
                f"{row.difference:.1e}",
                "; ".join(row.notes) or "-",
            )
            for row in rows
        ),
    )
