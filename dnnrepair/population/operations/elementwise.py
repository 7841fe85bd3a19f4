"""Activations, sums and products: a sparse value stays sparse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dnnrepair.population.call import fetched, rule, varies
from dnnrepair.population.values import Dense, Shared, Sparse, dense, pick

if TYPE_CHECKING:
    from dnnrepair.population.call import Call

IN_PLACE = {"relu": torch.relu_}  # where the argument is read by nothing else
OF_ONE_VALUE = (
    "relu relu6 leaky_relu elu selu celu gelu silu mish softplus sigmoid tanh hardtanh "
    "hardsigmoid hardswish log_sigmoid softsign hardshrink softshrink tanhshrink clamp clamp_min "
    "clamp_max threshold neg exp log sqrt rsqrt abs square reciprocal sin cos erf expm1 log1p pow "
    "sign"
)
UNCHANGED = (
    "dropout feature_dropout alpha_dropout feature_alpha_dropout contiguous clone detach alias "
    "lift_fresh_copy identity"
)


@rule(*OF_ONE_VALUE.split())
def of_one_value(call: Call) -> Any:  # noqa: ANN401 - a value
    """Apply a function to each number."""
    source = call.input
    if not isinstance(source, Sparse | Dense) or not call.only_input_varies():
        return NotImplemented
    if any(isinstance(value, Tensor | Shared) for value in call.named.values()):
        return NotImplemented  # its settings have shapes of their own
    in_place = IN_PLACE.get(call.op) if call.reusable else None
    values = in_place(source.values) if in_place else call.on(source.values)
    if isinstance(source, Dense):
        return Dense(values)
    return Sparse(values, source.units, call.out, source.dim, source.span)


@rule(*UNCHANGED.split())
def unchanged(call: Call) -> Any:  # noqa: ANN401 - a value
    """Pass on what comes in; a network in evaluation mode drops nothing."""
    source = call.input
    if call.op.endswith("dropout") and call.get("train", call.get("training", False)):
        return NotImplemented
    if isinstance(source, Sparse):
        return Sparse(source.values, source.units, call.out, source.dim, source.span)
    return source


@rule("add", "sub", "rsub", "mul", "div", "maximum", "minimum")
def of_two_values(call: Call) -> Any:  # noqa: ANN401 - a value
    """Combine two values, one of which may be a number."""
    one, other = call.input, call.get("other")
    if isinstance(one, Sparse) and isinstance(other, Sparse):
        one, other = _aligned(one, other)
    if isinstance(one, Sparse) and not varies(other):
        return _with_shared(call, one, other, swapped=False)
    if isinstance(other, Sparse) and not varies(one):
        return _with_shared(call, other, one, swapped=True)
    if isinstance(one, Sparse) and isinstance(other, Sparse):
        values = _run(call, one.values, other.values)
        return Sparse(values, one.units, call.out, one.dim, one.span)
    one, other = (dense(value, call.frame, call.chunk) for value in (one, other))
    return Dense(_run(call, *_same_rank(one, other)))


@rule("prelu")
def prelu(call: Call) -> Any:  # noqa: ANN401 - a value
    """Apply a slope per channel, which is dimension 1."""
    source, slopes = call.input, call.get("weight")
    if not isinstance(source, Sparse) or not isinstance(slopes, Tensor) or source.span > 1:
        return NotImplemented
    if slopes.numel() > 1 and source.dim != 1:
        return NotImplemented
    units = call.frame.constants.index(source.units)
    slope = slopes if slopes.numel() == 1 else slopes[units]
    slope = slope.view(-1, *(1 for _ in source.values.shape[1:]))
    values = torch.where(source.values > 0, source.values, slope * source.values)
    return Sparse(values, source.units, call.out, source.dim)


def _run(call: Call, one: Any, other: Any) -> Tensor:  # noqa: ANN401 - tensors or numbers
    given = [one, other, *call.args[2:]]
    kwargs = {k: v for k, v in call.kwargs.items() if k not in ("self", "input", "other")}
    found: Tensor = call.operation(*given, **kwargs)
    return found


def _with_shared(call: Call, source: Sparse, other: Any, *, swapped: bool) -> Any:  # noqa: ANN401
    """Combine changed units with the same units of a value that all candidates share."""
    if call.out.shape != source.shape:  # the other value is larger
        whole = (Dense(source.dense()), fetched(other))
        return Dense(_run(call, *_same_rank(*(whole[::-1] if swapped else whole))))
    if isinstance(other, Shared) and other.shape == source.shape:
        other = source.of(other).unsqueeze(1)
    elif isinstance(other, Shared | Tensor):
        other = _broadcast(call, source, other)
    pair = (other, source.values) if swapped else (source.values, other)
    values = _run(call, *pair)
    return Sparse(values, source.units, call.out, source.dim, source.span)


def _broadcast(call: Call, source: Sparse, other: Tensor | Shared) -> Any:  # noqa: ANN401
    """Return the changed units of a smaller value, to be combined with ``source.values``."""
    shape, units = source.shape, call.frame.constants.index(source.units)
    place = (call.name, source.units)

    def cut(value: Any) -> Any:  # noqa: ANN401 - a tensor or number
        if not isinstance(value, Tensor) or value.dim() == 0:
            return value
        return pick(value.expand(shape), units, source.dim, source.span).unsqueeze(1)

    if isinstance(other, Shared):
        return other.derived(place, cut)
    # a parameter without a batch dimension: expand all but that
    small = other.view(*(1 for _ in range(len(shape) - other.dim())), *other.shape)
    if source.span > 1 or small.dim() == 0 or small.shape[0] != 1:
        return call.frame.get(place, lambda _: cut(other))
    wide = small.expand(
        *small.shape[: source.dim], shape[source.dim], *small.shape[source.dim + 1 :]
    )
    return call.constant(source.units, lambda: pick(wide, units, source.dim, 1).unsqueeze(1))


def _aligned(one: Sparse, other: Sparse) -> tuple[Any, Any]:
    """Return both for the same units, or both dense where they differ in more than that."""
    if (one.dim, one.span, one.shape) != (other.dim, other.span, other.shape):
        return Dense(one.dense()), Dense(other.dense())
    if one.units == other.units:
        return one, other
    units = tuple(sorted({*one.units, *other.units}))
    return _extended(one, units), _extended(other, units)


def _extended(source: Sparse, units: tuple[int, ...]) -> Sparse:
    slot = {unit: place for place, unit in enumerate(units)}
    wide = Sparse(source.values, units, source.base, source.dim, source.span)
    values = wide.of(source.base).unsqueeze(1)
    values = values.expand(-1, *source.values.shape[1:]).clone()
    index = source.base.frame.constants.index(tuple(slot[unit] for unit in source.units))
    values[index] = source.values
    return Sparse(values, units, source.base, source.dim, source.span)


def _same_rank(one: Any, other: Any) -> tuple[Any, Any]:  # noqa: ANN401 - dense values, tensors
    """Return operands between whose shapes the candidates' dimension is first in both."""
    ranks = [len(v.shape) if isinstance(v, Dense | Tensor) else 0 for v in (one, other)]
    return tuple(  # type: ignore[return-value]
        v.values.unflatten(0, (-1, *(1 for _ in range(max(ranks) - rank))))
        if isinstance(v, Dense) and rank < max(ranks)
        else v.values
        if isinstance(v, Dense)
        else v
        for v, rank in zip((one, other), ranks, strict=True)
    )
