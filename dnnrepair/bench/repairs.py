"""Repairs of the most frequent errors by every method, each judged on inputs nobody saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    from collections.abc import Iterable, Sequence

    from torch import Tensor, nn

    from dnnrepair.methods.method import Method
    from dnnrepair.patch_report import PatchReport, Point
    from dnnrepair.progress import Progress
    from dnnrepair.subject import Subject

SHARES = (1 / 3, 1 / 6, 1 / 2)  # half of the errors to repair with, half unseen, as published
LIMIT = 0.005  # of broken inputs, asked for in some runs
ALPHAS = (1.0, 2.0, 4.0, 6.0, 8.0, 10.0)
PLAIN, KL = "last-layer, plain", "last-layer, KL anchor"
ARACHNE, PUBLISHED, DEFAULT = "arachne", "arachne, gradient only", "anchored (default)"


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


def contestants() -> dict[str, Method]:
    """Return the methods by the names of the tables."""
    return {
        DEFAULT: Anchored(),
        ARACHNE: Arachne(alphas=ALPHAS),
        PUBLISHED: Arachne(alphas=(10.0,), localizer="gradient", count=10),
        PLAIN: LastLayer(anchors=(0.0,)),
        KL: LastLayer(anchors=(1.0,)),
        "random": Random(alphas=(10.0,), candidates=1000),
    }


def kinds_of(subject: Subject, samples: ArraySamples, count: int) -> list[tuple[int, int]]:
    """Return the most frequent error types."""
    answers = Examination.of(subject, samples).answers()
    return [kind for kind, _ in error_types(answers)][:count]


def repairs(
    data: str,
    network: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    types: int,
    seeds: Sequence[int],
    progress: Progress,
) -> list[Run]:
    """Return every method's proposals for the most frequent error types, for each seed."""
    subject = subject_of(network, (x, y))
    assert isinstance(subject.samples, ArraySamples)  # given as arrays  # noqa: S101
    kinds = kinds_of(subject, subject.samples, types)
    progress.stage(f"repairing {data}", len(kinds) * len(seeds))
    found: list[Run] = []
    for kind in kinds:
        for seed in seeds:
            found += _runs(data, subject, kind, seed)
            progress.advance(1)
    return found


def _runs(data: str, subject: Subject, kind: tuple[int, int], seed: int) -> Iterable[Run]:
    goal = Goal(fix=(f"{kind[0]}:{kind[1]}",))
    options = PatchOptions(seed=seed, shares=SHARES)
    for name, method in contestants().items():
        report: PatchReport = repair(subject, goal, [method], options).report
        right = next(part.right for part in report.parts if part.name == "held-out")
        yield Run(data=data, method=name, kind=kind, seed=seed, points=report.points, right=right)
