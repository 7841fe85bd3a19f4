"""Linear layers: patched, or fed with what a patch has changed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dnnrepair.population.call import rule
from dnnrepair.population.operations import products
from dnnrepair.population.operations.parameters import viewed
from dnnrepair.population.operations.patching import Patched, add_responses, sparse_response
from dnnrepair.population.values import Dense, Edited, Shared, Sparse, Streamed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dnnrepair.population.call import Call

Weight = Tensor | Edited


@rule("linear")
def linear(call: Call) -> Any:  # noqa: ANN401 - a value
    """``x W^T + b``."""
    return affine(call, call.input, call.get("weight"), call.get("bias"))


@rule("mm", "matmul")
def product(call: Call) -> Any:  # noqa: ANN401 - a value
    """``x W`` with a parameter on the right."""
    weight = call.get("mat2", call.get("other", call.get("weight")))
    if not isinstance(weight, Weight) or _base(weight).dim() != 2:  # noqa: PLR2004 - a matrix
        return NotImplemented
    return affine(call, call.input, _transposed(call, weight), None)


@rule("addmm")
def sum_and_product(call: Call) -> Any:  # noqa: ANN401 - a value
    """``b + x W`` with parameters ``b`` and ``W``."""
    weight, bias = call.get("weight"), call.get("bias")
    plain = call.get("alpha", 1) == 1 and call.get("beta", 1) == 1
    known = isinstance(weight, Weight) and isinstance(bias, Weight)
    if not plain or not known or _base(bias).dim() != 1:
        return NotImplemented
    return affine(call, call.input, _transposed(call, weight), bias)


def affine(call: Call, source: Any, weight: Weight, bias: Weight | None) -> Any:  # noqa: ANN401
    """Return ``source @ weight.T + bias`` for arguments of any kind.

    Args:
        call: the operation.
        source: ``(..., inputs)``.
        weight: ``(outputs, inputs)``.
        bias: ``(outputs,)``.
    """
    if not isinstance(weight, Weight) or not isinstance(bias, Weight | None):
        return NotImplemented
    if isinstance(source, Streamed):  # its weights are not patched, or it would not be streamed
        if call.constant("streamed", lambda: _sums_positions(call, source)):
            return Dense(_from_channels(call, source.parts, _base(weight)))
        return NotImplemented
    if not isinstance(source, Shared | Sparse | Dense):
        return NotImplemented
    patched = _patched(call, weight, bias)
    if isinstance(source, Shared):
        return sparse_response(call, source, patched, len(source.shape) - 1)
    if isinstance(source, Sparse) and source.dim < len(source.shape) - 1:
        if patched or source.span > 1:
            source = Dense(source.dense())
        else:
            values = products.linear(source.values, _base(weight), _plain(bias))
            return Sparse(values, source.units, call.out, source.dim)
    values = _with_base_weights(call, source, _base(weight), _plain(bias))
    if patched:
        full = source.dense() if isinstance(source, Sparse) else source.values
        add_responses(values, full, patched, call.chunk.change, values.dim() - 2)
    return Dense(values)


def _with_base_weights(
    call: Call, source: Sparse | Dense, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """Return ``(p, *shape)`` for the unpatched weights, units first in memory if it is a matrix.

    What channels contribute is an exception: outputs are last there.
    """
    if isinstance(source, Sparse):
        if len(source.shape) > 2:  # noqa: PLR2004 - not (n, inputs)
            return _from_tokens(call, source, weight)
        if source.span > 1:
            return _from_channels(call, (source,), weight)
        return _from_units(call, source, weight)
    values = source.values
    first = values.movedim(-1, 0)
    if values.dim() == 3 and first.is_contiguous():  # noqa: PLR2004 - (p, n, inputs)
        out = products.product(weight, first.flatten(1))
        if bias is not None:
            out += bias.unsqueeze(1)
        return out.view(len(out), *first.shape[1:]).movedim(0, -1)
    return products.linear(values, weight, bias)


def _sums_positions(call: Call, source: Streamed) -> bool:
    """Tell whether each unit has several entries, so that its share is worth a product."""
    first = next(iter(source.parts))
    return first.span > 1 and len(call.out.shape) == 2  # noqa: PLR2004 - (n, out)


def _from_units(call: Call, source: Sparse, weight: Tensor) -> Tensor:
    """Return ``(p, n, outputs)``: what changed units contribute, and what the others do."""
    columns = _columns(call, source, weight)

    def of_others(value: Tensor) -> Tensor:
        return (value.t() - columns @ source.of(source.base)).contiguous()

    share = products.product(columns, source.values.flatten(1))
    out = share.view(-1, *source.values.shape[1:])
    out += call.out.derived("of other units", of_others).unsqueeze(1)
    return out.movedim(0, -1)


def _from_channels(call: Call, parts: Iterable[Sparse], weight: Tensor) -> Tensor:
    """Do the same for units of several entries, outputs last in memory: such products are faster.

    Args:
        call: the linear layer.
        parts: the changed units, with ``(u, ..., n, span)`` values; read once.
        weight: ``(outputs, inputs)``.
    """

    def of_channels(values: Iterable[tuple[Sparse, Tensor]]) -> Tensor:
        out: Tensor | None = None
        for part, value in values:
            columns = _columns(call, part, weight)
            for share in map(products.linear, value.flatten(1, -2), columns):
                out = share if out is None else out.add_(share)
        assert out is not None  # some unit has changed  # noqa: S101
        return out

    def of_others(value: Tensor) -> Tensor:
        return value - of_channels((part, part.of(part.base)) for part in parts)

    others = call.out.derived("of other units", of_others)
    out = of_channels((part, part.values) for part in parts).view(-1, *others.shape)
    out += others
    return out


def _from_tokens(call: Call, source: Sparse, weight: Tensor) -> Tensor:
    """Do the same for ``(p, ..., outputs)``, outputs last in memory as other operations like it."""
    delta = source.delta()
    if source.span > 1:
        rows = delta.movedim(0, -2).flatten(-2)  # (p, ..., u * span)
        part = _columns(call, source, weight).movedim(0, 1).flatten(1)
        out = products.linear(rows, part)
    else:
        part = _columns(call, source, weight)
        out = (delta.reshape(len(delta), -1).t() @ part.t()).view(*delta.shape[1:], len(part))
    out += call.out.whole()
    return out


def _columns(call: Call, source: Sparse, weight: Tensor) -> Tensor:
    """Return the weight's columns of changed units, ``(outputs, u)`` or ``(u, outputs, span)``."""

    def cut() -> Tensor:
        units = call.frame.constants.index(source.units)
        if source.span == 1:
            return weight[:, units].contiguous()
        parts: Tensor = weight.unflatten(1, (-1, source.span))  # (outputs, width, span)
        return parts.movedim(1, 0)[units].contiguous()

    found: Tensor = call.constant(("columns", source.units, source.span), cut)
    return found


def _patched(call: Call, weight: Weight, bias: Weight | None) -> list[Patched]:
    def found() -> list[Patched]:
        entries: list[Patched] = []
        if isinstance(weight, Edited):
            for column, (unit, place) in zip(weight.columns, weight.indices, strict=True):
                entries.append(Patched(column, unit, partial(_feature, place)))
        if isinstance(bias, Edited):
            for column, (unit,) in zip(bias.columns, bias.indices, strict=True):
                entries.append(Patched(column, unit, lambda x: torch.ones_like(x[..., 0])))
        return entries

    listed: list[Patched] = call.constant("patched", found)
    return listed


def _feature(place: int, source: Tensor) -> Tensor:
    return source[..., place]


def _base(value: Any) -> Tensor:  # noqa: ANN401 - a weight
    found: Tensor = value.base if isinstance(value, Edited) else value
    return found


def _plain(value: Weight | None) -> Tensor | None:
    return None if value is None else _base(value)


def _transposed(call: Call, weight: Weight) -> Weight:
    if isinstance(weight, Tensor):
        return weight.t()
    found: Weight = call.constant("transposed", lambda: viewed(weight, Tensor.t, call.name))
    return found
