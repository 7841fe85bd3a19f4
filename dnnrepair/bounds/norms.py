"""Rules of normalizations and other layers with a weight per unit, as sums and products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from dnnrepair.bounds.arithmetic import add, mul, sub
from dnnrepair.bounds.enclosing import enclosed, relu, rsqrt
from dnnrepair.bounds.rule import UnboundedError, bound
from dnnrepair.bounds.zonotope import Value, Zonotope, as_zonotope

if TYPE_CHECKING:
    from collections.abc import Sequence


@bound("batch_norm")
def batch_norm(
    x: Value,
    weight: Value | None,
    bias: Value | None,
    mean: Tensor,
    variance: Tensor,
    training: bool,  # noqa: FBT001 - as torch has it
    _momentum: float,
    eps: float,
    *_more: Any,  # noqa: ANN401
) -> Value:
    """Bound a batch norm by running statistics.

    Raises:
        UnboundedError: it normalizes by the batch, or its statistics are changed.
    """
    if training or not isinstance(mean, Tensor) or not isinstance(variance, Tensor):
        message = "no interval rule for aten.batch_norm by other than known statistics"
        raise UnboundedError(message)
    factor = (variance + eps).rsqrt()
    if not isinstance(weight, Zonotope):  # one product instead of two
        factor, weight = (factor if weight is None else factor * weight), None
    rank = x.dim()
    found = mul(sub(x, _per_channel(mean, rank)), _per_channel(factor, rank))
    return _transformed(found, _wide(weight, rank), _wide(bias, rank))


@bound("_native_batch_norm_legit_no_training")
def known_batch_norm(
    x: Value,
    weight: Value | None,
    bias: Value | None,
    mean: Tensor,
    variance: Tensor,
    momentum: float,
    eps: float,
) -> tuple[Value, None, None]:
    """Bound a batch norm by running statistics, as a decomposed graph calls it."""
    return batch_norm(x, weight, bias, mean, variance, False, momentum, eps), None, None  # noqa: FBT003


@bound("layer_norm")
def layer_norm(
    x: Value,
    shape: Sequence[int],
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
    *_more: Any,  # noqa: ANN401
) -> Value:
    """Bound a normalization over the last dimensions, or its weights' part alone."""
    if isinstance(x, Tensor):
        return _transformed(F.layer_norm(x, list(shape), None, None, eps), weight, bias)
    return _transformed(_standardized(x, len(shape), eps), weight, bias)


@bound("group_norm")
def group_norm(
    x: Value,
    groups: int,
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
    *_more: Any,  # noqa: ANN401
) -> Value:
    """Bound a normalization over groups of channels and all of space."""
    rank, shape = x.dim(), x.shape
    if isinstance(x, Tensor):
        found: Value = F.group_norm(x, groups, None, None, eps)
    else:
        grouped = x.map(lambda part: part.reshape(shape[0], groups, -1))
        standard = as_zonotope(_standardized(grouped, 1, eps))
        found = standard.map(lambda part: part.reshape(shape))
    return _transformed(found, _wide(weight, rank), _wide(bias, rank))


@bound("rms_norm")
def rms_norm(
    x: Value, shape: Sequence[int], weight: Value | None = None, eps: float | None = None
) -> Value:
    """Bound a division by the root of the mean square."""
    if isinstance(x, Tensor):
        return _transformed(F.rms_norm(x, list(shape), None, eps), weight, None)
    least = torch.finfo(x.center.dtype).eps if eps is None else eps
    return _transformed(_divided_by_root(x, len(shape), least), weight, None)


@bound("prelu")
def prelu(x: Value, weight: Value) -> Value:
    """Bound ``x`` above and ``weight x`` below 0, one weight or one per channel."""
    factor = _wide(weight, x.dim())
    if isinstance(x, Zonotope) and isinstance(factor, Tensor):
        return enclosed(
            x, lambda part: F.relu(part) - factor * F.relu(-part), lambda s: [s.new_zeros(s.shape)]
        )
    upper = relu(x) if isinstance(x, Zonotope) else F.relu(x)
    below = sub(upper, x)  # relu(-x)
    return sub(upper, below if factor is None else mul(below, factor))


def _standardized(x: Zonotope, dims: int, eps: float) -> Value:
    axes = list(range(-dims, 0))
    mean = x.map(lambda part: part.mean(axes, keepdim=True))
    return _divided_by_root(as_zonotope(sub(x, mean)), dims, eps)


def _divided_by_root(x: Zonotope, dims: int, eps: float) -> Value:
    axes = list(range(-dims, 0))
    square = as_zonotope(mul(x, x))
    variance = as_zonotope(add(square.map(lambda part: part.mean(axes, keepdim=True)), eps))
    nearest = (x.center.detach().abs() - x.spread).clamp(
        min=0
    )  # the smallest magnitude of each value
    floor = (nearest * nearest).mean(axes, keepdim=True) + eps
    return mul(x, rsqrt(variance, floor))


def _transformed(x: Value, weight: Value | None, bias: Value | None) -> Value:
    found = x if weight is None else mul(x, weight)
    return found if bias is None else add(found, bias)


def _wide(values: Value | None, rank: int) -> Value | None:
    if values is None or isinstance(values, Tensor):
        return None if values is None else _per_channel(values, rank)
    return values.map(lambda part: _per_channel(part, rank))


def _per_channel(values: Tensor, rank: int) -> Tensor:
    """Return ``(channels,)`` so that it broadcasts to ``(N, channels, *space)``."""
    return values.reshape(-1, *(1,) * (rank - 2))
