"""Tensors bit by bit: what makes two of them the same, whatever their numbers mean."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_WHOLE = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by bytes


def bits(values: Tensor) -> Tensor:
    """Return real numbers as integers of their width, same shape; -0.0 and 0.0 then differ."""
    return values.detach().contiguous().view(_WHOLE[values.element_size()])


def identical(one: Tensor, other: Tensor) -> bool:
    """Tell whether two tensors have the same type, shape and bits; a NaN equals itself."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return torch.equal(bits(one.cpu()), bits(other.cpu()))


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the first 16 hex digits of the sha256 of all names, shapes, types and bytes."""
    found = sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        found.update(f"{name}:{tuple(value.shape)}:{value.dtype}".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:16]
