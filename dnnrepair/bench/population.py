"""Candidate evaluations per second, beside what a user would write and what the core allows.

On one core; then on a CUDA device, where there is one, and on several processes.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import torch

from dnnrepair.bench import population_cuda, population_screen
from dnnrepair.bench.contest import BLOCKED, CACHED, NAIVE, OURS, SEARCH, VMAP, measure
from dnnrepair.bench.recipes import RECIPES, recipe_named
from dnnrepair.bench.requirements import figures
from dnnrepair.bench.result import BenchOptions, BenchResult, Table
from dnnrepair.bench.scaling import identical, scaling
from dnnrepair.bench.timing import Effort, one_core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dnnrepair.bench.contest import Row
    from dnnrepair.bench.recipes import Recipe

SIZES = (100, 400)  # P
SAMPLES = (200, 2000)  # N
MANY = 60_000  # N where only little has to be kept of an input
MANY_FOR = ("head", "hidden")
QUICK = ("head", "hidden", "conv, 2 channels", "resnet20, late")
QUICK_EFFORT = Effort(turns=3, least=2, seconds=0.5, call=1.0, all_rivals=False)


def run(options: BenchOptions) -> BenchResult:
    """Measure on one core, then on whatever else there is."""
    contests = list(_contests(quick=options.quick))
    options.progress.stage("evaluating populations", len(contests) + 2)
    rows: list[Row] = []
    effort = QUICK_EFFORT if options.quick else Effort()
    for recipe, samples, sizes in contests:
        rows += alone(_measured, recipe.name, samples, sizes, effort, options.seed)
        options.progress.advance(1)
    parts = [summarize(rows, quick=options.quick), on_cuda(options)]
    options.progress.advance(1)
    parts.append(on_processes(options))
    options.progress.advance(1)
    options.progress.finish()
    return BenchResult(
        "population",
        tuple(table for part in parts for table in part.tables),
        tuple(figure for part in parts for figure in part.figures),
        tuple(reason for part in parts for reason in part.skipped),
    )


def alone(work: Callable[..., list[Row]], *arguments: Any) -> list[Row]:  # noqa: ANN401 - of work
    """Call a function in a fresh process.

    An allocator that has held large values keeps their memory, and the next loop's activations
    then cost no page faults: one contest would decide how fast the next one's rivals are.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def _measured(
    name: str, samples: int, sizes: tuple[int, ...], effort: Effort, seed: int
) -> list[Row]:
    with one_core():
        return measure(recipe_named(name), samples, sizes, effort, seed)


def summarize(rows: Sequence[Row], *, quick: bool = False) -> BenchResult:
    """Return the tables and required figures for what was measured on one core."""
    tables = (_rates(rows), _ratios(rows), _agreement(rows))
    return BenchResult("population", tables, figures(rows), tuple(_skipped(rows, quick=quick)))


def on_cuda(options: BenchOptions) -> BenchResult:
    """Measure on the present CUDA device; without one, say so."""
    if not torch.cuda.is_available():
        reason = "the rates on an H200: torch sees no CUDA device"
        return BenchResult("population", (), population_cuda.figures((), ""), (reason,))
    device = torch.device("cuda", torch.cuda.current_device())
    name = torch.cuda.get_device_name(device)
    rows = population_cuda.measure(device, options.seed)
    rows += population_screen.measure(device, options.seed)
    tables = (population_cuda.table(rows, name),)
    return BenchResult("population", tables, population_cuda.figures(rows, name))


def on_processes(options: BenchOptions) -> BenchResult:
    """Measure on several processes, which takes longer than a quick run may."""
    if options.quick:
        reason = "scaling over processes: --quick was given"
        return BenchResult("population", (), (identical({}),), (reason,))
    table, same, skipped = scaling(options.seed)
    return BenchResult("population", (table,) if table.rows else (), (same,), skipped)


def _contests(*, quick: bool) -> Iterator[tuple[Recipe, int, tuple[int, ...]]]:
    for recipe in RECIPES:
        if quick:
            if recipe.name in QUICK:
                yield recipe, SAMPLES[-1], SIZES[:1]
            continue
        for samples in (*SAMPLES, *((MANY,) if recipe.name in MANY_FOR else ())):
            yield recipe, samples, SIZES


def _rates(rows: Sequence[Row]) -> Table:
    names = (NAIVE, NAIVE + BLOCKED, CACHED, CACHED + BLOCKED, VMAP, OURS, SEARCH)
    return Table(
        "candidates per CPU second on one core (10 weights; 90 % of the labels are right)",
        (*_KEY, *names, "share", "limit", "fraction"),
        tuple(
            (
                *_key(row),
                *(_number(row.rates.get(name)) for name in names),
                "-" if row.share is None else f"{row.share:.0%}",
                _number(row.limit),
                f"{row.fraction:.1%}",
            )
            for row in rows
        ),
    )


def _ratios(rows: Sequence[Row]) -> Table:
    names = (NAIVE, NAIVE + BLOCKED, CACHED, CACHED + BLOCKED, VMAP)
    return Table(
        "how many times faster than each",
        (*_KEY, *names),
        tuple((*_key(row), *(_number(row.ratio(name)) for name in names)) for row in rows),
    )


def _agreement(rows: Sequence[Row]) -> Table:
    return Table(
        "agreement with the naive loop, and what comes before the first candidate",
        (*_KEY, "P per call", "compared", "relative difference", "verdicts", "CPU s before"),
        tuple(
            (
                *_key(row),
                str(row.timed),
                str(row.checked),
                f"{row.difference:.1e}",
                str(row.verdicts),
                f"{row.prepared:.1f}",
            )
            for row in rows
        ),
    )


_KEY = ("workload", "N", "P")


def _key(row: Row) -> tuple[str, str, str]:
    return row.workload, f"{row.samples:,}", str(row.candidates)


_LARGE = 100


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= _LARGE else f"{value:.3g}"


def _skipped(rows: Sequence[Row], *, quick: bool) -> Iterator[str]:
    if quick:
        yield "vmap, blocked inputs and most workloads: --quick was given"
    slow = [row.label for row in rows if row.share is None]
    if slow:
        yield f"searches where a whole population takes too long: {'; '.join(slow)}"
    many = [row for row in rows if row.samples == MANY]
    if many:
        yield f"vmap and unblocked loops at N = {MANY:,}: their activations do not fit in memory"
    for name in dict.fromkeys(row.workload for row in many if CACHED + BLOCKED not in row.rates):
        yield f"the loop from a cached prefix of {name} at N = {MANY:,}: the prefix does not fit"
    for recipe in () if quick else RECIPES:
        if recipe.no_vmap:
            yield f"vmap of {recipe.name}: {recipe.no_vmap}"
