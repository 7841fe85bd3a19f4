"""Which part of what a network returns is its prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from dnnrepair.errors import ModelError

NAMES = ("logits", "prediction", "predictions", "output", "out")


def prediction_of(result: Any) -> Tensor:  # noqa: ANN401 - whatever the network returns
    """Return the entry called ``logits`` (or a like name), else the first floating-point tensor.

    Raises:
        ModelError: if there is none.
    """
    if isinstance(result, Mapping):
        for name in NAMES:
            named = result.get(name)
            if isinstance(named, Tensor):
                return named
    leaves = [v for v in pytree.tree_leaves(result) if isinstance(v, Tensor)]
    for leaf in leaves:
        if leaf.is_floating_point():
            return leaf
    message = f"the network returned {type(result).__name__} without a floating-point tensor"
    raise ModelError(message)


def prediction_place(spec: pytree.TreeSpec, count: int) -> int | None:
    """Return which of the flat outputs is called ``logits`` (or a like name), None if none is."""
    places = pytree.tree_unflatten([torch.tensor(place) for place in range(count)], spec)
    if isinstance(places, Mapping):
        named = next((places[n] for n in NAMES if isinstance(places.get(n), Tensor)), None)
        return None if named is None else int(named)
    return None
