"""Embeddings with patched rows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from dnnrepair.population.call import rule
from dnnrepair.population.operations.patching import Patched, sparse_response
from dnnrepair.population.values import Edited, Shared

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dnnrepair.population.call import Call


def _occurrences(row: int, dtype: torch.dtype, tokens: Tensor) -> Tensor:
    return (tokens == row).to(dtype)


@rule("embedding")
def embedding(call: Call) -> Any:  # noqa: ANN401 - a value
    """Look up rows, some entries of which are patched: a change where the token occurs."""
    weight, tokens = call.get("weight"), call.get("indices")
    if not isinstance(weight, Edited) or not isinstance(tokens, Shared):
        return NotImplemented
    dtype = weight.base.dtype
    patched: list[Patched] = call.constant(
        "patched",
        lambda: [
            Patched(column, unit, partial(_occurrences, row, dtype))
            for column, (row, unit) in zip(weight.columns, weight.indices, strict=True)
        ],
    )
    return sparse_response(call, tokens, patched, len(call.out.shape) - 1)
