"""A network and its inputs, measured in the precision in which oracles are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from dnnrepair.data import ArraySamples
from dnnrepair.localize.head import Head
from dnnrepair.localize.measure import measure
from dnnrepair.localize.watching import Network
from dnnrepair.localize.weights import Weights
from dnnrepair.subject import Subject, subject_of

if TYPE_CHECKING:
    from torch import Tensor, nn

Tensors = dict[str, "Tensor"]
Measure = "Callable[..., tuple[Tensors, Tensors]]"


def measured(
    subject: Subject, samples: ArraySamples, *, batch_size: int = 64, published: bool = False
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return gradient loss and forward impact, by tensor and shaped as it."""
    assert subject.program is not None
    weights = Weights.of(subject)
    network = Network.of(
        program=subject.program,
        weights=weights,
        head=Head.of(subject.program.sites, subject.facts),
        example=samples.example(16),
        published=published,
        device=subject.device,
    )
    found = measure(network, samples, batch_size)
    sizes = np.cumsum([weights.values[name].numel() for name in weights.suspected])[:-1]
    both = []
    for values in (found.gradient, found.impact):
        parts = np.split(values, sizes)
        both.append(
            {
                name: torch.from_numpy(part.copy()).view(weights.values[name].shape)
                for name, part in zip(weights.suspected, parts, strict=True)
            }
        )
    return both[0], both[1]


def samples_for(shape: tuple[int, ...], count: int = 5, classes: int = 3) -> ArraySamples:
    """Return random inputs in double precision."""
    rng = torch.Generator().manual_seed(1)
    x = torch.randn(count, *shape, generator=rng, dtype=torch.float64)
    return ArraySamples((x,), torch.arange(count) % classes, "random")


def put(net: nn.Module, samples: ArraySamples) -> Subject:
    """Put a network in double precision on the table."""
    return subject_of(net.double().eval(), (samples.inputs[0], samples.targets))
