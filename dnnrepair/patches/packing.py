"""Which numbers an edit changes, in few bytes.

An edit's numbers lie in a box that starts at the origin. Few of them are named by their positions
in it, many by one bit for each number that the box holds.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from dnnrepair.errors import PatchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

_MOST_DIMENSIONS = 64  # of a torch tensor
_NARROW = 2**31  # positions below it fit 4 bytes


def box_of(index: Tensor) -> tuple[int, ...]:
    """Return the sides of the smallest box around places ``(k, dimensions)``, k above 0."""
    return tuple(int(side) + 1 for side in index.amax(dim=0)) if index.shape[1] else ()


def packed(index: Tensor, box: Sequence[int]) -> Tensor:
    """Return places ``(k, dimensions)``, in order, as positions or as a bitmap (uint8).

    Raises:
        PatchError: if they are not in order, or one is named twice.
    """
    positions = _ravelled(index, box)
    if not _rises(positions):
        message = "places in a patch must be in order, none twice; make it with Patch.of"
        raise PatchError(message)
    volume = math.prod(box)
    kind = torch.int32 if volume <= _NARROW else torch.int64
    if math.ceil(volume / 8) >= len(positions) * kind.itemsize:
        return positions.to(kind)
    marked = np.zeros(volume, dtype=np.bool_)
    marked[positions.numpy()] = True
    return torch.from_numpy(np.packbits(marked))


def unpacked(stored: Tensor, box: Sequence[int], count: int) -> Tensor:
    """Return the places ``(count, dimensions)`` that were packed; nothing in a file is believed.

    Raises:
        ValueError: if they are not that many places in the box, in order.
    """
    volume = math.prod(box)
    if len(box) > _MOST_DIMENSIONS or volume >= 2**63 or min(box, default=1) < 1:
        message = f"places in a box of {len(box)} sides and {volume} numbers"
        raise ValueError(message)
    positions = _marked(stored, volume) if stored.dtype == torch.uint8 else stored.long()
    if positions.shape != (count,):
        message = f"{len(positions)} places for {count} numbers"
        raise ValueError(message)
    inside = count > 0 and int(positions[0]) >= 0 and int(positions[-1]) < volume
    if not inside or not _rises(positions):
        message = "places out of range or out of order"
        raise ValueError(message)
    return _unravelled(positions, box)


def _marked(stored: Tensor, volume: int) -> Tensor:
    if stored.shape != (math.ceil(volume / 8),):
        message = f"a bitmap of {stored.numel()} bytes for {volume} numbers"
        raise ValueError(message)
    found = np.flatnonzero(np.unpackbits(stored.numpy(), count=volume))
    return torch.from_numpy(found.astype(np.int64))


def _rises(positions: Tensor) -> bool:
    return bool((positions[1:] > positions[:-1]).all())


def _ravelled(index: Tensor, box: Sequence[int]) -> Tensor:
    positions = torch.zeros(len(index), dtype=torch.int64)
    for dimension, side in enumerate(box):
        positions = positions * side + index[:, dimension]
    return positions


def _unravelled(positions: Tensor, box: Sequence[int]) -> Tensor:
    """Return the places, ``(k, dimensions)``, of positions in row-major order."""
    sides = []
    for side in reversed(box):
        sides.append(positions % side)
        positions = positions // side
    return torch.stack(sides[::-1], dim=1) if sides else positions.new_zeros(len(positions), 0)
