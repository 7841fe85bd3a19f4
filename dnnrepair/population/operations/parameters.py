"""Views of patched parameters: a packed projection that is split, a transposed weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from dnnrepair.population.values import Edited
from dnnrepair.sites import KIND_OF_OP, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from dnnrepair.population.call import Call


def view_of_parameter(call: Call) -> object:
    """Return the result of a view of a patched parameter; ``NotImplemented`` if it is no view."""
    source = call.input
    if not isinstance(source, Edited) or KIND_OF_OP.get(call.op) is not Kind.VIEW:
        return NotImplemented
    if not call.only_input_varies() or call.op in ("to", "_to_copy"):
        return NotImplemented
    found: object = call.constant("view", lambda: viewed(source, call.on, call.name))
    return found


def viewed(source: Edited, operation: Callable[[Tensor], object], key: str) -> object:
    """Return what a view makes of a patched parameter: one, or a tuple where it splits.

    Where the entries went is read off by sending their positions through the same operation.
    """
    numbers = torch.arange(source.base.numel(), device=source.base.device)
    values = pytree.tree_leaves(operation(source.base))
    positions = pytree.tree_leaves(operation(numbers.view(source.base.shape)))
    found = [
        _part(source, value, position, f"{key}.{place}")
        for place, (value, position) in enumerate(zip(values, positions, strict=True))
    ]
    return found[0] if len(found) == 1 else tuple(found)


def _part(source: Edited, value: Tensor, position: Tensor, key: str) -> Tensor | Edited:
    flat, columns = [], []
    for old, column in zip(source.flat, source.columns, strict=True):
        for new in (position.reshape(-1) == old).nonzero().reshape(-1).tolist():
            flat.append(new)
            columns.append(column)
    return Edited(value, tuple(flat), tuple(columns), key) if flat else value
