"""How long a repair takes from a network and its data to the verdict."""

from __future__ import annotations

from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

import torch

from dnnrepair.answers import Examination
from dnnrepair.bench.result import BenchResult, Figure, Table
from dnnrepair.data import ArraySamples
from dnnrepair.goal import Goal
from dnnrepair.methods.anchored import Anchored
from dnnrepair.methods.arachne import Arachne
from dnnrepair.methods.method import Part, Problem
from dnnrepair.patching import repair
from dnnrepair.subject import subject_of

if TYPE_CHECKING:
    from dnnrepair.bench.patch_cases import PatchCase
    from dnnrepair.bench.result import BenchOptions
    from dnnrepair.methods.method import Method

TOP_1 = 3.0  # seconds on 2 cores; the authors report 139
CANDIDATES = 10_000
ALL_IMAGES = 60.0  # seconds for so many candidates on all training images
REPEATS = 3


def measure(case: PatchCase, options: BenchOptions) -> BenchResult:
    """Return the time of a whole repair, and of a search on all training images."""
    rows, figures = [], []
    for name, method in (("default", Anchored()), ("arachne, alpha 10", Arachne(alphas=(10.0,)))):
        taken = median(_top_1(case, method) for _ in range(1 if options.quick else REPEATS))
        figures.append(
            Figure(
                f"seconds of a top-1 repair, {name}", f"at most {TOP_1:g}", taken, taken <= TOP_1
            )
        )
        rows.append((f"top-1 repair, {name}", f"{len(case.test_x):,}", f"{taken:.2f}"))
    if not options.quick:
        taken = _all_images(case, options.seed)
        name = f"seconds for {CANDIDATES:,} candidates on {len(case.train_x):,} images"
        figures.append(Figure(name, f"at most {ALL_IMAGES:g}", taken, taken <= ALL_IMAGES))
        rows.append((f"{CANDIDATES:,} candidates", f"{len(case.train_x):,}", f"{taken:.2f}"))
    cores = torch.get_num_threads()
    table = Table(
        f"seconds of wall clock on {cores} cores, median of {REPEATS} repeats",
        ("work", "inputs", "seconds"),
        tuple(rows),
    )
    return BenchResult("patch", (table,), tuple(figures))


def _top_1(case: PatchCase, method: Method) -> float:
    """Return the time from an exported network to the verdict, localization included."""
    subject = subject_of(case.network, (case.test_x, case.test_y))
    begin = perf_counter()
    repair(subject, Goal(), [method])
    return perf_counter() - begin


def _all_images(case: PatchCase, seed: int) -> float:
    """Return the time of a whole search that no early stop ends, localization included."""
    samples = ArraySamples((case.train_x,), case.train_y, "training images")
    subject = subject_of(case.network, samples)
    correct = Examination.of(subject, samples).answers().correct
    part = Part(
        samples=samples,
        correct=correct,
        targets=~correct,
        protected=correct,
        cost=torch.ones(len(correct)),
    )
    method = Arachne(alphas=(10.0,), candidates=100, generations=CANDIDATES // 100 - 1, early=False)
    begin = perf_counter()
    method.propose(Problem(subject=subject, search=part, selection=part, seed=seed))
    return perf_counter() - begin
