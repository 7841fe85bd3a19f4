"""Repairs of the most frequent errors by every method, each judged on inputs nobody saw."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch

from dnnrepair.answers import Examination
from dnnrepair.choosing import choose
from dnnrepair.data import ArraySamples
from dnnrepair.goal import Goal, error_types
from dnnrepair.methods.anchored import Anchored
from dnnrepair.methods.arachne import Arachne
from dnnrepair.methods.last_layer import LastLayer
from dnnrepair.methods.random import Random
from dnnrepair.patching import PatchOptions, repair
from dnnrepair.subject import subject_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor, nn

    from dnnrepair.bench.result import BenchOptions
    from dnnrepair.patch_report import PatchReport, Point
    from dnnrepair.subject import Subject

SHARES = (1 / 3, 1 / 6, 1 / 2)  # half of the errors to repair with, half unseen, as published
LIMIT = 0.005  # of broken inputs, asked for in some runs
ALPHAS = (1.0, 2.0, 4.0, 6.0, 8.0, 10.0)
DEFAULT, ARACHNE, RANDOM = "anchored (default)", "arachne, alpha 10", "random"
PLAIN, KL, CURVE = "last-layer, plain", "last-layer, KL anchor", "arachne, all alphas"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One method's proposals for one error type and one split.

    Attributes:
        data: name of the data.
        method: as the tables call it.
        kind: the error type, true and predicted class.
        seed: of the split and of the search.
        points: what was proposed.
        right: how many held-out inputs were right.
    """

    data: str
    method: str
    kind: tuple[int, int]
    seed: int
    points: tuple[Point, ...]
    right: int

    def chosen(self, max_broken: float | None = None) -> Point | None:
        """Return what would be taken, None if nothing."""
        place, _ = choose([point.selection for point in self.points], max_broken, self.right)
        return None if place is None else self.points[place]

    def named(self, name: str) -> Point:
        """Return the proposal of that name."""
        return next(point for point in self.points if point.name == name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Which repair to make.

    Attributes:
        data: name of the data.
        file: that holds the network and its inputs.
        goal: what to fix.
        kind: the error type that this is, (-1, -1) if of all kinds.
        seed: of the split and of the search.
        alphas: that Arachne tries.
    """

    data: str
    file: str
    goal: Goal
    kind: tuple[int, int]
    seed: int
    alphas: tuple[float, ...]


def kinds_of(subject: Subject, count: int) -> list[tuple[int, int]]:
    """Return the most frequent error types."""
    assert isinstance(subject.samples, ArraySamples)  # given as arrays  # noqa: S101
    answers = Examination.of(subject, subject.samples).answers()
    return [kind for kind, _ in error_types(answers)][:count]


def repairs(
    data: str,
    network: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    types: int,
    seeds: int,
    options: BenchOptions,
) -> list[Run]:
    """Return every method's proposals for the most frequent error types, for each seed."""
    kinds = kinds_of(subject_of(network, (x, y)), types)
    wanted = [
        (Goal(fix=(f"{kind[0]}:{kind[1]}",)), kind, seed)
        for seed in range(options.seed, options.seed + seeds)
        for kind in kinds
    ]
    return run_all(data, network, x, y, wanted, options)


def run_all(
    data: str,
    network: nn.Module,
    x: Tensor,
    y: Tensor,
    wanted: Sequence[tuple[Goal, tuple[int, int], int]],
    options: BenchOptions,
) -> list[Run]:
    """Make repairs in several processes; the first seed's with all alphas."""
    options.progress.stage(f"repairing {data}", len(wanted))
    found: list[Run] = []
    with TemporaryDirectory() as folder:
        file = f"{folder}/network.pt"
        torch.save((network, x, y), file)
        jobs = [
            Job(
                data=data,
                file=file,
                goal=goal,
                kind=kind,
                seed=seed,
                alphas=ALPHAS if seed == options.seed else ALPHAS[-1:],
            )
            for goal, kind, seed in wanted
        ]
        context = get_context("spawn")
        with ProcessPoolExecutor(options.workers, context, _start) as pool:
            for runs in pool.map(_repaired, jobs):
                found += runs
                options.progress.advance(1)
    return found


def _start() -> None:
    """Let each process compute on one core."""
    torch.set_num_threads(1)


@cache
def _subject(file: str) -> Subject:
    network, x, y = torch.load(file, weights_only=False)  # written by this very run
    return subject_of(network, (x, y))


def _repaired(job: Job) -> list[Run]:
    methods = (Anchored(), Arachne(alphas=job.alphas), LastLayer(), Random(candidates=1000))
    options = PatchOptions(seed=job.seed, shares=SHARES)
    report = repair(_subject(job.file), job.goal, methods, options).report
    return list(_runs(job, report))


def _runs(job: Job, report: PatchReport) -> Iterator[Run]:
    """Yield what each method proposed, by the names of the tables."""
    right = next(part.right for part in report.parts if part.name == "held-out")
    every = tuple(point for point in report.points if point.method == "arachne")
    points = {
        DEFAULT: tuple(p for p in report.points if p.method == "anchored"),
        ARACHNE: every[-1:],
        CURVE: every if len(job.alphas) > 1 else (),
        PLAIN: tuple(p for p in report.points if p.name.endswith("anchor 0")),
        KL: tuple(
            p for p in report.points if p.method == "last-layer" and p.name.endswith("anchor 1")
        ),
        RANDOM: tuple(p for p in report.points if p.method == "random"),
    }
    for method, some in points.items():
        if some:
            yield Run(
                data=job.data, method=method, kind=job.kind, seed=job.seed, points=some, right=right
            )
