"""What a network is trained on, and how it is cut into batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.data import ArraySamples
    from dnnrepair.probe import Batch
    from dnnrepair.recover.recipe import Objective


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What a network is to learn.

    Attributes:
        train: what it learns from.
        valid: what tells which epoch was best, and when to stop.
        loss: what is minimized: one of :data:`dnnrepair.loss.LOSSES`, or any function of
            predictions and targets that returns a scalar, such as a loss of ``torch.nn``.
    """

    train: ArraySamples
    valid: ArraySamples
    loss: str | Objective = "cross_entropy"


def shuffled(samples: ArraySamples, size: int, generator: torch.Generator) -> Iterator[Batch]:
    """Yield all samples in batches of ``size``, in an order that is drawn anew."""
    order = torch.randperm(samples.size, generator=generator)
    for cut in cuts(samples.size, size):
        part = samples.subset(order[cut].numpy(), samples.name)
        yield part.example(part.size)


def cuts(count: int, size: int) -> list[slice]:
    """Return where to cut samples into batches; one left over joins the batch before it.

    >>> cuts(5, 2)
    [slice(0, 2, None), slice(2, 5, None)]
    """
    starts = list(range(0, count, size))
    if len(starts) > 1 and count - starts[-1] == 1:
        starts.pop()
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], count], strict=True)]
