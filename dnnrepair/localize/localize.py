"""Which weights are most responsible for what a network gets wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dnnrepair.errors import SettingError
from dnnrepair.localize.head import Head
from dnnrepair.localize.measure import measure
from dnnrepair.localize.scores import Scores
from dnnrepair.localize.suspects import Localizer, Suspects
from dnnrepair.localize.watching import Network
from dnnrepair.localize.weights import Weights
from dnnrepair.program import GraphProgram

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dnnrepair.data import Samples
    from dnnrepair.localize.measure import Measured
    from dnnrepair.subject import Subject

_EXAMPLES = 16  # inputs among which two should differ


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalizerSettings:
    """How to look for suspects.

    Attributes:
        localizer: how weights are chosen.
        count: how many, at least 1; None for the first Pareto front, or else 10.
        layers: names of the layers, or of the tensors, to look at; empty for all.
        published: define the forward impact of convolutions and recurrent layers as published:
            shares of sums over all inputs (not of each input's own), and, of convolutions, signed.
            In the CNNs of ``dnnrepair/bench/localization.py`` one wrong weight then outranks 98 %
            of the others, by default 99 %.
        seed: of a random choice.
        batch_size: inputs at a time; memory grows with it.
    """

    localizer: Localizer = Localizer.BIDIRECTIONAL
    count: int | None = None
    layers: tuple[str, ...] = ()
    published: bool = False
    seed: int = 0
    batch_size: int = 256

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            SettingError: if a number is below 1.
        """
        for name, value in (("count", self.count), ("batch_size", self.batch_size)):
            if value is not None and value < 1:
                message = f"{name} is {value}; it is at least 1"
                raise SettingError(message)


def localize(
    subject: Subject,
    negatives: Samples,
    positives: Samples,
    settings: LocalizerSettings | None = None,
) -> Suspects:
    """Return the weights most responsible for what the network makes of some inputs.

    Bidirectional localization of Sohn, Kang and Yoo (TOSEM 2023): a weight is suspected for its
    gradient loss and its forward impact, ``cost = of negatives / (1 + of positives)`` each.

    Args:
        subject: the network.
        negatives: inputs that it gets wrong, with labels.
        positives: inputs that it gets right, with labels; see
            :func:`dnnrepair.localize.contrast.contrast`.
        settings: how to look.

    Raises:
        ModelError: if the network cannot be run or differentiated, or has no such layer.
        DataError: if the inputs do not fit, or have no labels.
    """
    settings = settings or LocalizerSettings()
    program = subject.running
    network = Network.of(
        program=program,
        weights=Weights.of(subject, settings.layers),
        head=Head.of(program.sites, subject.facts),
        example=negatives.example(_EXAMPLES),
        published=settings.published,
        device=subject.device,
    )
    bad, good = (measure(network, s, settings.batch_size) for s in (negatives, positives))
    scores = _compared(network.weights, bad, good)
    blind = settings.localizer is Localizer.BIDIRECTIONAL and not scores.impact.any()
    return Suspects.of(
        scores,
        Localizer.GRADIENT if blind else settings.localizer,
        settings.count,
        seed=settings.seed,
        notes=tuple(_notes(network, bad.unseen)),
    )


def _compared(weights: Weights, bad: Measured, good: Measured) -> Scores:
    """Return what negatives show that positives do not."""
    shapes = {name: tuple(weights.values[name].shape) for name in weights.suspected}
    return Scores(
        shapes=shapes,
        gradient=bad.gradient.astype(np.float64) / (1 + good.gradient),
        impact=bad.impact.astype(np.float64) / (1 + good.impact),
    )


def _notes(network: Network, unseen: Sequence[str]) -> Iterator[str]:
    if network.head.note:
        yield network.head.note
    if not isinstance(network.program, GraphProgram):
        yield "the network could not be exported as a graph: only gradient loss was measured"
    elif unseen:
        yield f"no forward impact could be measured of {', '.join(unseen)}: counted as 0"
