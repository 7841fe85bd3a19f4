"""How well the weight that is wrong is found, as in RQ1 of Arachne, and how fast."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import fmean, median
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import torch

from dnnrepair.bench.mutants import mutants
from dnnrepair.bench.networks import BenchCNN
from dnnrepair.bench.reference_cnns import initialized
from dnnrepair.bench.result import BenchResult, Figure, Table
from dnnrepair.data import ArraySamples
from dnnrepair.localize import Localizer, LocalizerSettings, localize
from dnnrepair.localize.contrast import drawn
from dnnrepair.subject import subject_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dnnrepair.bench.mutants import Mutant
    from dnnrepair.progress import Progress
    from dnnrepair.subject import Subject

MUTANTS = 30
LEAST_AUC = 0.99
MOST_SECONDS = 1.5  # for 3.2 million weights and 230 inputs on 2 cores
INPUTS = 230
CONTESTANTS: Mapping[str, LocalizerSettings] = {
    "bidirectional": LocalizerSettings(),
    "impact as published": LocalizerSettings(published=True),
    "gradient": LocalizerSettings(localizer=Localizer.GRADIENT),
    "random": LocalizerSettings(localizer=Localizer.RANDOM),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Where one contestant ranked the wrong weights of some mutants.

    Attributes:
        network: whose mutants.
        contestant: a key of :data:`CONTESTANTS`.
        weights: M, among which they are ranked.
        ranks: of each wrong weight, from 1.
    """

    network: str
    contestant: str
    weights: int
    ranks: tuple[int, ...]

    @property
    def auc(self) -> float:
        """Mean share of the other weights that rank behind the wrong one, in [0, 1]."""
        return 1 - (fmean(self.ranks) - 1) / (self.weights - 1)

    @property
    def reciprocal(self) -> float:
        """Mean reciprocal rank, in (0, 1]."""
        return fmean(1 / rank for rank in self.ranks)


def find(
    name: str,
    subject: Subject,
    samples: ArraySamples,
    progress: Progress,
    *,
    count: int = MUTANTS,
    seed: int = 0,
) -> tuple[Found, ...]:
    """Plant one wrong weight at a time and let every contestant look for it.

    The negatives are the inputs whose prediction changed; the positives as many of the others.

    Args:
        name: of the network.
        subject: the network, which works.
        samples: inputs by which the fault is seen.
        progress: is told how many mutants are done.
        count: how many mutants.
        seed: of the mutants and of the positives.
    """
    ranks: dict[str, list[int]] = {contestant: [] for contestant in CONTESTANTS}
    total = 0
    progress.stage(f"looking for wrong weights of {name}", count)
    stream = mutants(subject, samples, torch.Generator().manual_seed(seed))
    for number, mutant in zip(range(count), stream, strict=False):
        for contestant, settings in CONTESTANTS.items():
            rank, total = _rank(mutant, samples, settings, seed + number)
            ranks[contestant].append(rank)
        progress.advance(1)
    return tuple(
        Found(network=name, contestant=contestant, weights=total, ranks=tuple(found))
        for contestant, found in ranks.items()
    )


def seconds(repeats: int = 3, seed: int = 0) -> float:
    """Return the median wall time of one localization in a network of 3.2 million weights."""
    rng = torch.Generator().manual_seed(seed)
    x, y = torch.rand(INPUTS, 1, 28, 28, generator=rng), torch.arange(INPUTS) % 10
    subject = subject_of(initialized(BenchCNN, seed), (x, y))
    half = INPUTS // 2
    negatives = ArraySamples((x[:half],), y[:half], "negatives")
    positives = ArraySamples((x[half:],), y[half:], "positives")
    times = []
    for _ in range(repeats + 1):  # the first warms up
        begin = perf_counter()
        localize(subject, negatives, positives)
        times.append(perf_counter() - begin)
    return median(times[1:])


def summarize(found: Sequence[Found], time: float | None = None) -> BenchResult:
    """Return the table and the required figures of some networks' mutants."""
    table = Table(
        f"rank of one wrong weight among all ({len(found[0].ranks)} mutants of each network)",
        ("network", "weights", "localization", "AUC", "MRR", "mean rank", "median rank"),
        tuple(map(_row, found)),
    )
    figures = [
        Figure(
            f"rank AUC, bidirectional, {one.network}",
            f"at least {LEAST_AUC}",
            one.auc,
            one.auc >= LEAST_AUC,
        )
        for one in found
        if one.contestant == "bidirectional"
    ]
    speed = Figure(
        f"seconds for 3.2 million weights and {INPUTS} inputs",
        f"at most {MOST_SECONDS}",
        time,
        None if time is None else time <= MOST_SECONDS,
    )
    return BenchResult("localization", (table,), (*figures, speed))


def _rank(
    mutant: Mutant, samples: ArraySamples, settings: LocalizerSettings, seed: int
) -> tuple[int, int]:
    """Return the rank of the wrong weight, and the number of weights."""
    changed, others = (np.flatnonzero(mask.numpy()) for mask in (mutant.changed, ~mutant.changed))
    assert samples.targets is not None  # of a labeled data set  # noqa: S101
    labels = samples.targets.numpy()[others]
    kept = others[drawn(labels, len(changed), np.random.default_rng(seed))]
    suspects = localize(
        mutant.subject,
        samples.subset(changed, "changed"),
        samples.subset(kept, "unchanged"),
        replace(settings, seed=seed),
    )
    return suspects.rank_of(mutant.place), len(suspects.scores)


def _row(found: Found) -> tuple[str, ...]:
    return (
        found.network,
        f"{found.weights:,}",
        found.contestant,
        f"{found.auc:.4f}",
        f"{found.reciprocal:.3f}",
        f"{fmean(found.ranks):,.0f}",
        f"{median(found.ranks):,.0f}",
    )
