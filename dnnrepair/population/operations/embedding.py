"""Embeddings with patched rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dnnrepair.population.call import rule
from dnnrepair.population.operations.patching import Patched, sparse_response
from dnnrepair.population.values import Edited, Shared

if TYPE_CHECKING:
    from dnnrepair.population.call import Call


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
            Patched(column, unit, lambda x, row=row: (x == row).to(dtype))
            for column, (row, unit) in zip(weight.columns, weight.indices, strict=True)
        ],
    )
    return sparse_response(call, tokens, patched, len(call.out.shape) - 1)
