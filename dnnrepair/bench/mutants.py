"""Networks in which one weight is wrong, as in RQ1 of Arachne.

A layer is drawn, and one of its weights in which the outputs have a gradient above the layer's
mean. Its value is moved within the layer's range until at least 0.1 % of the predictions change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dnnrepair.fitness import Arachne
from dnnrepair.localize.weights import Weights
from dnnrepair.population import Place, prepare

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.data import ArraySamples
    from dnnrepair.subject import Subject

CHANGED = 0.001  # least share of the predictions
STEPS = 16  # values that are tried over the layer's range
_BATCH = 500
SPREAD = 3.0  # standard deviations on both sides of the layer's mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A network with one wrong weight.

    Attributes:
        subject: the network.
        place: the weight.
        changed: whose prediction is another, bool ``(n,)``.
    """

    subject: Subject
    place: Place
    changed: Tensor


def mutants(subject: Subject, samples: ArraySamples, rng: torch.Generator) -> Iterator[Mutant]:
    """Yield mutants without end.

    Args:
        subject: a network that works.
        samples: n inputs by which changes are seen.
        rng: draws the weights.
    """
    reach = _reach(subject, samples)
    names = list(reach)
    while True:
        name = names[int(torch.randint(len(names), (), generator=rng))]
        strong = (reach[name] > reach[name].mean()).nonzero()
        index = strong[int(torch.randint(len(strong), (), generator=rng))]
        place = Place(name, tuple(int(i) for i in index))
        mutant = _mutated(subject, samples, place)
        if mutant is not None:
            yield mutant


def _mutated(subject: Subject, samples: ArraySamples, place: Place) -> Mutant | None:
    """Return the network with the smallest tried change that shows, None if none does."""
    original = subject.tensors[place.tensor][place.index]
    values = _range(subject.tensors[place.tensor], original)
    evaluator = prepare(subject, [place], samples, Arachne(torch.ones(samples.size)))
    before, *after = evaluator.logits(torch.cat([original[None], values])[:, None]).argmax(-1)
    for value, predicted in zip(values, after, strict=True):
        changed = predicted != before
        if float(changed.double().mean()) >= CHANGED:
            return Mutant(subject=_with(subject, place, value), place=place, changed=changed)
    return None


def _range(layer: Tensor, original: Tensor) -> Tensor:
    """Return values over a layer's range, those near the original first, ``(STEPS,)``."""
    mean, spread = layer.mean(), SPREAD * layer.std()
    low, high = torch.maximum(layer.min(), mean - spread), torch.minimum(layer.max(), mean + spread)
    values = low + (high - low) * torch.linspace(0, 1, STEPS, dtype=layer.dtype)
    return values[(values - original).abs().argsort()]


def _reach(subject: Subject, samples: ArraySamples) -> dict[str, Tensor]:
    """Return the size of the gradient of the summed outputs in each weight, by tensor."""
    assert subject.program is not None  # it runs  # noqa: S101
    weights = Weights.of(subject)
    totals = weights.zeros()
    for batch in samples.batches(_BATCH):
        outputs = subject.program.run(batch.inputs, tensors=weights.values)
        totals.add(torch.autograd.grad(outputs.sum(), weights.leaves))
    return {n: total.abs() for n, total in zip(weights.suspected, totals.totals, strict=True)}


def _with(subject: Subject, place: Place, value: Tensor) -> Subject:
    """Return the network with another value for one weight."""
    assert subject.program is not None  # it runs  # noqa: S101
    changed = subject.tensors[place.tensor].clone()
    changed[place.index] = value
    program = subject.program.with_tensors({place.tensor: changed})
    return replace(subject, program=program, tensors=program.tensors)
