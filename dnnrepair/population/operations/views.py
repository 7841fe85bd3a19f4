"""Operations that move values: a sparse value stays sparse as long as its units stay whole."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from dnnrepair.population.call import fetched, rule
from dnnrepair.population.values import Dense, Shared, Sparse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnnrepair.population.call import Call


@rule("view", "reshape", "_unsafe_view", "flatten", "unflatten")
def reshape(call: Call) -> Any:  # noqa: ANN401 - a value
    """Regroup dimensions."""
    source, shape = call.input, call.out.shape
    if isinstance(source, Dense) and call.only_input_varies():
        return Dense(source.values.reshape(len(call.chunk), *shape))
    if not isinstance(source, Sparse) or source.span > 1:
        return NotImplemented
    before, units = prod(source.shape[: source.dim]), source.shape[source.dim]
    for dim in range(len(shape)):
        if prod(shape[:dim]) != before or shape[dim] % max(units, 1):
            continue
        rest = prod(source.shape[source.dim + 1 :])
        span = shape[dim] // units
        if span == 1 and prod(shape[dim + 1 :]) == rest:
            others = (*shape[:dim], *shape[dim + 1 :])
            values = source.values.reshape(*source.values.shape[:2], *others)
            return Sparse(values, source.units, call.out, dim)
        if span > 1 and span * prod(shape[dim + 1 :]) == rest:
            return _spanned(call, source, dim, span)
    return NotImplemented


def _spanned(call: Call, source: Sparse, dim: int, span: int) -> Any:  # noqa: ANN401 - a value
    """Merge positions into the units' dimension, as ``flatten`` before a linear layer does."""
    shape = call.out.shape
    if len(shape) != dim + 1:
        return NotImplemented
    values = source.values.reshape(*source.values.shape[:2], *shape[:dim], span)
    return Sparse(values, source.units, call.out, dim, span)


@rule("permute", "transpose", "swapaxes", "swapdims", "movedim", "t", "mT")
def permute(call: Call) -> Any:  # noqa: ANN401 - a value
    """Reorder dimensions."""
    source = call.input
    rank = len(call.out.shape)
    if not call.only_input_varies() or not isinstance(source, Sparse | Dense):
        return NotImplemented
    order: tuple[int, ...] = call.constant("order", lambda: _order(call, rank))
    if isinstance(source, Dense):
        return Dense(source.values.permute(0, *(d + 1 for d in order)))
    if source.span > 1:
        return NotImplemented
    place = [d if d < source.dim else d - 1 for d in order if d != source.dim]
    values = source.values.permute(0, 1, *(d + 2 for d in place))
    return Sparse(values, source.units, call.out, order.index(source.dim))


def _order(call: Call, rank: int) -> tuple[int, ...]:
    """Return which input dimension each output dimension was, read off an empty tensor."""
    sizes = torch.empty(*range(2, rank + 2), device="meta")
    return tuple(size - 2 for size in call.on(sizes).shape)


@rule("squeeze", "unsqueeze")
def squeeze(call: Call) -> Any:  # noqa: ANN401 - a value
    """Drop or add a dimension of one entry."""
    source, dim = call.input, call.get("dim")
    if not isinstance(source, Sparse | Dense) or not isinstance(dim, int):
        return NotImplemented
    if isinstance(source, Dense):
        return Dense(source.values.reshape(len(call.chunk), *call.out.shape))
    if source.span > 1:
        return NotImplemented
    dim = dim % (len(call.out.shape) if call.op == "unsqueeze" else len(source.shape))
    if call.op == "squeeze":
        if source.shape[dim] > 1:
            return Sparse(source.values, source.units, call.out, source.dim)
        if dim == source.dim:
            return NotImplemented
    moved = dim < source.dim or (dim == source.dim and call.op == "unsqueeze")
    step = 0 if not moved else 1 if call.op == "unsqueeze" else -1
    unit_dim = source.dim + step
    others = tuple(size for d, size in enumerate(call.out.shape) if d != unit_dim)
    values = source.values.reshape(*source.values.shape[:2], *others)
    return Sparse(values, source.units, call.out, unit_dim)


@rule("select")
def select(call: Call) -> Any:  # noqa: ANN401 - a value
    """Take one entry of a dimension."""
    source, dim, index = call.input, call.get("dim"), call.get("index")
    if not isinstance(source, Sparse | Dense) or not isinstance(index, int):
        return NotImplemented
    dim %= len(source.shape)
    index %= source.shape[dim]
    if isinstance(source, Dense):
        return Dense(source.values.select(dim + 1, index))
    if source.span > 1:
        return NotImplemented
    if dim == source.dim:
        if index not in source.units:
            return call.out
        return Dense(source.values[source.units.index(index)])
    values = source.values.select(dim + (2 if dim < source.dim else 1), index)
    return Sparse(values, source.units, call.out, source.dim - (dim < source.dim))


@rule("slice")
def cut(call: Call) -> Any:  # noqa: ANN401 - a value
    """Take a range of a dimension."""
    source = call.input
    if not isinstance(source, Sparse | Dense) or not call.only_input_varies():
        return NotImplemented
    dim = call.get("dim", 0) % len(source.shape)
    start, stop, step = (fetched(call.get(name)) for name in ("start", "end", "step"))
    taken = range(source.shape[dim])[slice(start, stop, step)]
    if len(taken) == source.shape[dim]:
        return source if isinstance(source, Dense) else _renamed(call, source, source.units)
    pieces = slice(taken.start, taken.stop, taken.step)
    if isinstance(source, Dense):
        return Dense(source.values[(slice(None),) * (dim + 1) + (pieces,)])
    if source.span > 1:
        return NotImplemented
    if dim == source.dim:
        return _narrowed(call, source, taken)
    before = dim + 2 if dim < source.dim else dim + 1
    values = source.values[(slice(None),) * before + (pieces,)]
    return Sparse(values, source.units, call.out, source.dim)


def _renamed(call: Call, source: Sparse, units: tuple[int, ...]) -> Sparse:
    return Sparse(source.values, units, call.out, source.dim, source.span)


def _narrowed(call: Call, source: Sparse, taken: range) -> Any:  # noqa: ANN401 - a value
    """Keep the changed units within a range of units."""
    kept = [place for place, unit in enumerate(source.units) if unit in taken]
    if not kept:
        return call.out
    units = tuple(taken.index(source.units[place]) for place in kept)
    values = source.values[call.frame.constants.index(tuple(kept))]
    return Sparse(values, units, call.out, source.dim)


@rule("cat")
def cat(call: Call) -> Any:  # noqa: ANN401 - a value
    """Join along a dimension: the parts' changed units side by side."""
    parts, rank = call.get("tensors"), len(call.out.shape)
    dim = call.get("dim", 0) % rank
    if not all(isinstance(part, Shared | Sparse | Dense) for part in parts):
        return NotImplemented
    if any(isinstance(p, Sparse) and (p.dim != dim or p.span > 1) for p in parts):
        return NotImplemented
    if dim == 0 or not any(isinstance(part, Sparse | Shared) for part in parts):
        return NotImplemented
    start, units, values = 0, list[int](), list[torch.Tensor]()
    for part in parts:
        if isinstance(part, Sparse | Dense):
            own = part.units if isinstance(part, Sparse) else range(part.shape[dim])
            units.extend(start + unit for unit in own)
            values.append(
                part.values if isinstance(part, Sparse) else part.values.movedim(dim + 1, 0)
            )
        start += part.shape[dim]
    return Sparse(torch.cat(values), tuple(units), call.out, dim)


@rule("pad", "constant_pad_nd")
def pad(call: Call) -> Any:  # noqa: ANN401 - a value
    """Surround with a constant."""
    source, sizes = call.input, call.get("pad")
    value = call.get("value")
    if not isinstance(source, Sparse | Dense) or call.get("mode", "constant") != "constant":
        return NotImplemented
    sizes = fetched(sizes)
    if isinstance(source, Dense):
        return Dense(F.pad(source.values, sizes, value=value or 0.0))
    if source.span > 1 or any(size < 0 for size in sizes):
        return NotImplemented
    rank = len(source.shape)
    by_dim = {rank - 1 - i: tuple(sizes[2 * i : 2 * i + 2]) for i in range(len(sizes) // 2)}
    before, _ = by_dim.pop(source.dim, (0, 0))
    units = tuple(unit + before for unit in source.units)
    values = source.values
    if any(any(pair) for pair in by_dim.values()):
        values = F.pad(values, _inner(by_dim, source), value=value or 0.0)
    return Sparse(values, units, call.out, source.dim)


def _inner(by_dim: dict[int, tuple[int, int]], source: Sparse) -> Sequence[int]:
    """Return the sizes for the dimensions of ``values`` other than units and candidates."""
    rank = len(source.shape)
    others = [d for d in range(rank) if d != source.dim]
    return [size for d in reversed(others) for size in by_dim.get(d, (0, 0))]


@rule("getitem", "__getitem__")
def getitem(call: Call) -> Any:  # noqa: ANN401 - a value
    """Take one of several results."""
    source, place = call.args
    if isinstance(source, list | tuple) and isinstance(place, int):
        return source[place]
    return NotImplemented
