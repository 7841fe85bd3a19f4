"""Repairs on real data: what every method fixes and breaks of inputs that nobody saw.

The protocols are those of Arachne's experiments (Sohn, Kang and Yoo, TOSEM 2023): half of each
error type to repair with, half unseen.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dnnrepair.bench import localization, patch_figures, patch_tables
from dnnrepair.bench.patch_cases import RECIPES, case_of
from dnnrepair.bench.patch_mixed import mixed
from dnnrepair.bench.patch_seconds import measure
from dnnrepair.bench.repairs import repairs
from dnnrepair.bench.result import BenchOptions, BenchResult
from dnnrepair.bench.sentiment import sentiment
from dnnrepair.data import ArraySamples
from dnnrepair.errors import DataError
from dnnrepair.subject import subject_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.bench.patch_cases import PatchCase, Recipe
    from dnnrepair.bench.repairs import Run

SEEDS, QUICK_SEEDS = 10, 1
TYPES, QUICK_TYPES = 10, 3
MUTANTS = 30
INPUTS = 3000  # by which mutants are seen, where the network is large


def run(options: BenchOptions) -> BenchResult:
    """Repair, and judge."""
    if options.data_dir is None:
        reason = "everything: repairs are measured on real images; name their folder by --data-dir"
        return BenchResult("patch", (), patch_figures.unmeasured(), (reason,))
    parts: list[BenchResult] = []
    runs: list[Run] = []
    for recipe in RECIPES[: 1 if options.quick else None]:
        try:
            case = case_of(recipe, options)
        except DataError as error:
            parts.append(BenchResult("patch", (), (), (f"{recipe.name}: {error}",)))
            continue
        found = _repaired(case, options)
        runs += found
        parts += list(_of_case(recipe, case, found, options))
    if not options.quick:
        parts.append(sentiment(options))
    if runs:
        parts.append(BenchResult("patch", (), patch_figures.figures(runs)))
    options.progress.finish()
    return joined(parts)


def joined(parts: list[BenchResult]) -> BenchResult:
    """Return one result from several."""
    return BenchResult(
        "patch",
        tuple(table for part in parts for table in part.tables),
        tuple(figure for part in parts for figure in part.figures),
        tuple(reason for part in parts for reason in part.skipped),
    )


def _repaired(case: PatchCase, options: BenchOptions) -> list[Run]:
    network, x = case.behind()
    seeds, types = (QUICK_SEEDS, QUICK_TYPES) if options.quick else (SEEDS, TYPES)
    name = case.recipe.name
    return repairs(name, network, x, case.test_y, types=types, seeds=seeds, options=options)


def _of_case(
    recipe: Recipe, case: PatchCase, runs: list[Run], options: BenchOptions
) -> Iterator[BenchResult]:
    """Yield what is measured on one network."""
    yield BenchResult("patch", tuple(patch_tables.tables(recipe.name, runs)), ())
    yield BenchResult("patch", (), (patch_figures.reduction(recipe, runs),))
    if recipe is RECIPES[0]:
        yield measure(case, options)
    if not options.quick:
        yield mixed(case, options)
        yield _located(case, options)


def _located(case: PatchCase, options: BenchOptions) -> BenchResult:
    """Return how well one wrong weight is found, and how fast."""
    samples = ArraySamples((case.test_x[:INPUTS],), case.test_y[:INPUTS], case.recipe.name)
    subject = subject_of(case.network, samples)
    found = localization.find(
        case.recipe.name, subject, samples, options.progress, count=MUTANTS, seed=options.seed
    )
    first = case.recipe is RECIPES[0]
    result = localization.summarize(found, localization.seconds() if first else None)
    return result if first else replace(result, figures=result.figures[:-1])
