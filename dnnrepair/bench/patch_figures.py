"""What repairs are required to show."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from dnnrepair.bench.patch_tables import by_method, gain, pooled
from dnnrepair.bench.repairs import ARACHNE, DEFAULT, KL, LIMIT, PLAIN
from dnnrepair.bench.result import Figure
from dnnrepair.bench.tradeoff import lead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnnrepair.bench.patch_cases import Recipe
    from dnnrepair.bench.repairs import Run

KEPT = 0.95  # share of runs that keep the limit of broken inputs


def reduction(recipe: Recipe, runs: Sequence[Run]) -> Figure:
    """Return by how much the published search reduces the errors aimed at."""
    fixed = pooled(
        run.named("alpha 10") for run in runs if run.data == recipe.name and run.method == ARACHNE
    )
    name = f"arachne, alpha 10: unseen targets fixed, {recipe.name}"
    bound = f"at least {recipe.floor:g}"
    return Figure(name, bound, fixed.value, fixed.value >= recipe.floor)


def figures(runs: Sequence[Run]) -> tuple[Figure, ...]:
    """Return what is required of the default."""
    methods = by_method(runs)
    found = [_gain(methods[DEFAULT])]
    for rival in (PLAIN, KL):
        gap = lead(methods[DEFAULT], methods[rival])
        name = f"default's curve less that of {rival}"
        found += [
            Figure(f"{name}: lowest, with its interval", "at least 0", gap.least, gap.least >= 0),
            Figure(f"{name}: mean", "above 0", gap.overall, gap.overall > 0),
        ]
    return (*found, _limited(methods[DEFAULT]))


def unmeasured() -> tuple[Figure, ...]:
    """Return the figures of a run without data."""
    return (Figure("default: mean accuracy change", "at least 0", None, None),)


def _gain(runs: Sequence[Run]) -> Figure:
    mean = fmean(map(gain, runs))
    return Figure("default: mean accuracy change, unseen half", "at least 0", mean, mean >= 0)


def _limited(runs: Sequence[Run]) -> Figure:
    taken = [run.chosen(LIMIT) for run in runs]
    kept = fmean(point is None or point.held_out.broken.value <= LIMIT for point in taken)
    none = sum(point is None for point in taken)
    name = (
        f"runs with --max-broken {100 * LIMIT:g}% that keep it on unseen data "
        f"({none} of {len(runs)} took no change)"
    )
    return Figure(name, f"at least {KEPT:g}", kept, kept >= KEPT)
