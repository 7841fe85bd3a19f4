"""Pooling and reductions over positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dnnrepair.population.call import rule
from dnnrepair.population.values import Dense, Sparse

if TYPE_CHECKING:
    from dnnrepair.population.call import Call

POOLS = tuple(
    f"{pool}{dims}d"
    for pool in ("max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool")
    for dims in (1, 2, 3)
)


@rule(*POOLS)
def pool(call: Call) -> Any:  # noqa: ANN401 - a value
    """Pool each channel of ``(n, C, *space)`` by itself."""
    source = call.input
    dims = int(call.op[-2])
    if not isinstance(source, Sparse | Dense) or len(source.shape) != dims + 2:
        return NotImplemented
    if isinstance(source, Dense):
        result = call.on(source.values.flatten(0, 1))
        if not isinstance(result, Tensor):
            return NotImplemented
        return Dense(result.unflatten(0, source.values.shape[:2]))
    if source.dim != 1 or source.span != 1:
        return NotImplemented
    planes = source.values.flatten(0, 1)  # (u * p, n, *space)
    result = call.on(planes)
    if not isinstance(result, Tensor):
        return NotImplemented
    values = result.unflatten(0, source.values.shape[:2])
    return Sparse(values, source.units, call.out, source.dim)


@rule("mean", "sum", "amax", "amin")
def reduce(call: Call) -> Any:  # noqa: ANN401 - a value
    """Reduce over dimensions that hold neither units nor all of them."""
    source, rank = call.input, len(getattr(call.input, "shape", ()))
    dims = call.get("dim")
    if not isinstance(source, Sparse | Dense) or not dims or call.get("dtype") is not None:
        return NotImplemented
    over = sorted({d % rank for d in (dims if isinstance(dims, list | tuple) else (dims,))})
    keep = bool(call.get("keepdim", False))
    if isinstance(source, Dense):
        return Dense(_reduced(call, source.values, [d + 1 for d in over], keep=keep))
    if source.dim in over or source.span > 1:
        return NotImplemented
    inner = [d + 2 if d < source.dim else d + 1 for d in over]  # among (u, p, *others)
    values = _reduced(call, source.values, inner, keep=keep)
    dim = source.dim if keep else source.dim - sum(d < source.dim for d in over)
    return Sparse(values, source.units, call.out, dim)


def _reduced(call: Call, values: Tensor, dims: list[int], *, keep: bool) -> Tensor:
    found: Tensor = getattr(torch, call.op)(values, dim=dims, keepdim=keep)
    return found
