"""Which weights are most responsible for what a network gets wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dnnrepair.localize.head import Head
from dnnrepair.localize.measure import measure
from dnnrepair.localize.scores import Scores
from dnnrepair.localize.watching import Network
from dnnrepair.localize.weights import Weights

if TYPE_CHECKING:
    from dnnrepair.data import Samples
    from dnnrepair.subject import Subject

EXAMPLES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalizerSettings:
    method: str = "bidirectional"
    count: int | None = None
    layers: tuple[str, ...] = ()
    published: bool = False
    seed: int = 0
    batch_size: int = 64


def score(subject: Subject, negatives: Samples, positives: Samples, settings: LocalizerSettings):
    program = subject.program
    weights = Weights.of(subject, settings.layers)
    head = Head.of(program.sites, subject.facts)
    network = Network.of(
        program,
        weights,
        head,
        negatives.example(EXAMPLES),
        published=settings.published,
        device=subject.device,
    )
    neg = measure(network, negatives, settings.batch_size)
    pos = measure(network, positives, settings.batch_size)
    shapes = {name: tuple(weights.values[name].shape) for name in weights.suspected}
    return (
        Scores(shapes, neg.gradient / (1 + pos.gradient), neg.impact / (1 + pos.impact)),
        neg,
        pos,
    )
