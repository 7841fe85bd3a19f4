"""What fairness repairs reach on real tables, seed by seed, beside other methods."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from dnnrepair.bench.fairness_data import adult, compas, default
from dnnrepair.bench.fairness_record import Plan
from dnnrepair.bench.fairness_runs import carried_out
from dnnrepair.bench.fairness_tables import required, tables
from dnnrepair.fitness.disparity import OBJECTIVES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from dnnrepair.bench.fairness_data import People
    from dnnrepair.bench.fairness_record import Run
    from dnnrepair.bench.result import BenchOptions, Figure, Table

REQUIRED_SEEDS = 20  # of networks that have all columns: by 10, "less" varies by 8 points
SEEDS = 10  # of them, for the other objectives
UNTOLD_SEEDS = 3  # of networks that lack the attributes among their inputs
REQUIRED = "eodds"
LOADERS: dict[str, Callable[..., People]] = {"Adult": adult, "COMPAS": compas, "Default": default}
ATTRIBUTES = (
    ("Adult", "sex"), ("Adult", "race"), ("COMPAS", "race"), ("COMPAS", "sex"), ("Default", "sex"),
)  # fmt: skip


def repair_rows(
    options: BenchOptions,
) -> tuple[tuple[Table, ...], tuple[Figure, ...], tuple[str, ...]]:
    """Return tables, required figures, and what was skipped."""
    if options.data_dir is None:
        return (), (), ("debias: it needs Adult, COMPAS and Default; name them with --data-dir",)
    plans = planned(options.seed, quick=options.quick)
    folder = options.cache / "fairness" if options.cache is not None else None
    options.progress.stage("repairing for fairness", len(plans))
    runs = []
    for plan, run in _all(plans, options.data_dir, folder):
        runs.append(run)
        options.progress.advance(1)
        options.progress.note(f"{plan.data} by {plan.attribute}, {plan.objective}, {plan.seed}")
    skipped = ["debias, faces: there is no set of faces with genders among the data"]
    if options.quick:
        skipped.append(
            "debias: one seed, which judges no mean; equalized odds only, without COMPAS (--quick)"
        )
    if folder is None and not options.quick:
        skipped.append("debias: finished repairs were not kept; --cache lets a killed run go on")
    figures = tuple(required(runs))
    if options.quick:
        figures = tuple(replace(figure, met=None) for figure in figures)
    return tables(runs), figures, tuple(skipped)


def planned(seed: int, *, quick: bool) -> list[Plan]:
    """Return all repairs: what is required first, then seed by seed, so that any start is fair."""
    told = [(True, REQUIRED, 1 if quick else REQUIRED_SEEDS)]
    if not quick:
        told += [(True, name, SEEDS) for name in OBJECTIVES if name != REQUIRED]
        told += [(False, REQUIRED, UNTOLD_SEEDS)]
    found = [
        Plan(data=data, attribute=attribute, told=inside, objective=objective, seed=seed + place)
        for data, attribute in ATTRIBUTES
        for inside, objective, seeds in told
        for place in range(seeds)
        if not (quick and data == "COMPAS")
    ]
    return sorted(
        found,
        key=lambda p: (p.objective != REQUIRED, not p.told, p.seed, p.data, p.objective),
    )


def _all(plans: Sequence[Plan], data: Path, folder: Path | None) -> Iterator[tuple[Plan, Run]]:
    """Carry out plans; the same table and network serve those that follow each other."""
    loaded: dict[tuple[str, bool], People] = {}
    for (name, told, _), some in groupby(plans, key=lambda p: (p.data, p.told, p.seed)):
        wanted = list(some)
        if (name, told) not in loaded:
            loaded[name, told] = LOADERS[name](data, told=told)
        yield from zip(wanted, carried_out(loaded[name, told], wanted, folder), strict=True)
