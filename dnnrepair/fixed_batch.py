"""Batches for networks that run with one batch size only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


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
