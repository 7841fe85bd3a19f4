"""Repairs of errors of all kinds at once: a tenth of them, drawn at random (RQ2 of Arachne)."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

import torch

from dnnrepair.answers import Examination
from dnnrepair.bench.patch_tables import by_method, pooled
from dnnrepair.bench.repairs import CURVE, Run, run_all
from dnnrepair.bench.result import BenchResult, Table
from dnnrepair.data import ArraySamples
from dnnrepair.goal import Goal
from dnnrepair.subject import subject_of

if TYPE_CHECKING:
    from dnnrepair.bench.patch_cases import PatchCase
    from dnnrepair.bench.result import BenchOptions
    from dnnrepair.subject import Subject

SHARE = 0.1  # of all errors
SEEDS = 5


def mixed(case: PatchCase, options: BenchOptions) -> BenchResult:
    """Return what every method's boldest change does, and the one that it would take."""
    network, x = case.behind()
    subject = subject_of(network, (x, case.test_y))
    seeds = range(options.seed, options.seed + SEEDS)
    wanted = [(Goal(fix_indices=_drawn(subject, seed)), (-1, -1), seed) for seed in seeds]
    found = run_all(f"{case.recipe.name}, mixed", network, x, case.test_y, wanted, options)
    runs = by_method(run for run in found if run.method != CURVE)
    title = f"{case.recipe.name}: a random tenth of all errors to fix, unseen half ({SEEDS} seeds)"
    columns = ("method", "boldest: fixed", "broken", "accuracy", "taken", "fixed", "accuracy")
    rows = tuple(_row(method, some) for method, some in runs.items())
    return BenchResult("patch", (Table(title, columns, rows),), ())


def _drawn(subject: Subject, seed: int) -> tuple[int, ...]:
    """Return the inputs to fix."""
    assert isinstance(subject.samples, ArraySamples)  # given as arrays  # noqa: S101
    wrong = (~Examination.of(subject, subject.samples).answers().correct).nonzero()[:, 0]
    drawn = torch.randperm(len(wrong), generator=torch.Generator().manual_seed(seed))
    return tuple(sorted(wrong[drawn[: round(SHARE * len(wrong))]].tolist()))


def _row(method: str, runs: list[Run]) -> tuple[str, ...]:
    boldest = [run.points[-1] for run in runs]
    chosen = [point for run in runs if (point := run.chosen()) is not None]
    return (
        method,
        f"{100 * pooled(boldest).value:.1f} %",
        f"{100 * fmean(point.held_out.broken.value for point in boldest):.2f} %",
        f"{100 * fmean(point.held_out.gain.value for point in boldest):+.2f} points",
        f"{len(chosen)} of {len(runs)}",
        f"{100 * pooled(chosen).value:.1f} %" if chosen else "-",
        f"{100 * sum(p.held_out.gain.value for p in chosen) / len(runs):+.2f} points",
    )
