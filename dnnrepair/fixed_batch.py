"""Batches as large as a network runs with, or runs well with."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from dnnrepair.program import Program

LEAST = 128  # inputs at a time, if any number will do
CACHED = 2**18  # numbers of one value that stay in the cache


def filled(
    inputs: Sequence[Tensor], size: int | None, device: torch.device | None = None
) -> tuple[Tensor, ...]:
    """Return a batch, its samples repeated or cut to the one size that a network runs with.

    Args:
        inputs: one tensor per input, batch first.
        size: the only one that it runs with; None if any will do.
        device: where to put the batch; None to leave it where it is.
    """
    moved = tuple(x if device is None else x.to(device) for x in inputs)
    if size is None:
        return moved
    return tuple(x[torch.arange(size, device=x.device) % len(x)] for x in moved)


def at_a_time(program: Program) -> int:
    """Return with how many inputs a network runs fastest: more than these leave the cache."""
    if program.batch_size is not None:
        return program.batch_size
    largest = max((prod(site.shape[1:]) for site in program.sites), default=1)
    return max(LEAST, CACHED // max(largest, 1))
