"""Rules of operations that move values about: each part of a zonotope moves alike."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from dnnrepair.bounds.rule import UnboundedError, bound
from dnnrepair.bounds.zonotope import Value, Zonotope, lifted

_SAME = ("contiguous", "clone", "alias", "detach", "lift_fresh_copy", "identity")
_DROPOUTS = ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")
_MOVES = (
    *("flatten", "unflatten", "squeeze", "unsqueeze", "expand", "repeat", "repeat_interleave"),
    *("transpose", "permute", "movedim", "moveaxis", "t", "mT", "swapaxes", "swapdims"),
    *("select", "slice", "narrow", "index", "index_select", "gather", "take_along_dim"),
    *("flip", "roll", "tile", "diagonal", "tril", "triu", "unfold", "im2col"),
    *("pixel_shuffle", "pixel_unshuffle"),
    *("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d"),
)
_MEANS = (  # weighted sums whose weights are at least 0
    *("mean", "sum", "avg_pool1d", "avg_pool2d", "avg_pool3d"),
    *("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"),
    *("_adaptive_avg_pool2d", "_adaptive_avg_pool3d"),
    *("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d"),
)
_PARTS = ("chunk", "split", "split_with_sizes", "unbind", "tensor_split")


@bound(*_SAME)
def same(x: Zonotope, *_options: Any, **_more: Any) -> Zonotope:  # noqa: ANN401
    """Return the value itself."""
    return x


@bound(*_DROPOUTS)
def dropout(x: Zonotope, _rate: float, train: bool) -> Zonotope:  # noqa: FBT001 - as torch has it
    """Return the value itself.

    Raises:
        UnboundedError: the graph drops units at inference, at random.
    """
    if train:
        message = "no interval rule for aten.dropout in training mode"
        raise UnboundedError(message)
    return x


def _moved(name: str, x: Zonotope, *args: Any, **kwargs: Any) -> Zonotope:  # noqa: ANN401
    operation = getattr(torch.ops.aten, name)
    return x.map(lambda part: operation(part, *args, **kwargs))


for _name in (*_MOVES, *_MEANS):
    bound(_name)(partial(_moved, _name))


def _cut(name: str, x: Zonotope, *args: Any, **kwargs: Any) -> list[Zonotope]:  # noqa: ANN401
    operation = getattr(torch.ops.aten, name)
    count = len(operation(x.center, *args, **kwargs))

    def one(place: int, part: Tensor) -> Tensor:
        found: Tensor = operation(part, *args, **kwargs)[place]
        return found

    return [x.map(partial(one, place)) for place in range(count)]


for _name in _PARTS:
    bound(_name)(partial(_cut, _name))


@bound("view", "_unsafe_view", "reshape")
def reshape(x: Zonotope, shape: Any, *_more: Any) -> Zonotope:  # noqa: ANN401
    """Bound a tensor of other shape; strides may differ from the program's."""
    if isinstance(shape, torch.dtype):
        message = "no interval rule for aten.view as another type"
        raise UnboundedError(message)
    return x.map(lambda part: part.reshape(shape))


@bound("expand_as")
def expand_as(x: Value, other: Value) -> Value:
    """Bound a tensor repeated to another's shape."""
    return x.expand(other.shape) if isinstance(x, Tensor) else _moved("expand", x, other.shape)


@bound("view_as", "reshape_as")
def reshape_as(x: Value, other: Value) -> Value:
    """Bound a tensor of another's shape."""
    return x.reshape(other.shape) if isinstance(x, Tensor) else reshape(x, other.shape)


@bound("to", "_to_copy", "type_as")
def to(x: Value, *args: Any, **kwargs: Any) -> Value:  # noqa: ANN401
    """Bound a copy.

    Raises:
        UnboundedError: in another number format, whose rounding is not accounted for.
    """
    others: list[Any] = [a.center if isinstance(a, Zonotope) else a for a in args]
    values = x if isinstance(x, Tensor) else x.center
    found: Tensor = torch.Tensor.to(values, *others, **kwargs)
    if isinstance(x, Tensor):
        return found
    if found.dtype != values.dtype:
        message = "no interval rule for aten.to in another number format"
        raise UnboundedError(message)
    return x


@bound("cat", "concat", "concatenate")
def cat(values: list[Value], dim: int = 0) -> Zonotope:
    """Bound tensors one after the other."""
    return _joined(values, lambda parts: torch.cat(parts, dim))


@bound("stack")
def stack(values: list[Value], dim: int = 0) -> Zonotope:
    """Bound tensors along a new dimension."""
    return _joined(values, lambda parts: torch.stack(parts, dim))


def _joined(values: list[Value], join: Any) -> Zonotope:  # noqa: ANN401
    parts = lifted(values)
    center = join([part.center for part in parts])
    slopes = center.new_zeros(len(parts[0].slopes), *center.shape)
    for symbol, row in enumerate(slopes):
        row.copy_(join([part.slopes[symbol] for part in parts]))
    return Zonotope(center, slopes, join([part.radius for part in parts]))


@bound("pad")
def pad(x: Zonotope, sizes: Any, mode: str = "constant", value: float | None = None) -> Zonotope:  # noqa: ANN401
    """Bound a tensor with a margin: of a known value, or of its own values."""
    found = x.map(lambda part: F.pad(part, sizes, mode))
    if mode != "constant" or not value:
        return found
    return Zonotope(F.pad(x.center, sizes, mode, value), found.slopes, found.radius)


@bound("constant_pad_nd")
def constant_pad(x: Zonotope, sizes: Any, value: float = 0) -> Zonotope:  # noqa: ANN401
    """Bound a tensor with a margin of a known value."""
    return pad(x, sizes, "constant", value)


@bound("sym_size", "size")
def size(x: Zonotope, dim: int | None = None) -> Any:  # noqa: ANN401
    """Return the size, which no changed weight influences."""
    return x.shape if dim is None else x.shape[dim]


@bound("sym_numel", "numel")
def numel(x: Zonotope) -> int:
    """Return the number of values."""
    return x.center.numel()


def _like(name: str, x: Zonotope, *args: Any, **kwargs: Any) -> Tensor:  # noqa: ANN401
    found: Tensor = getattr(torch.ops.aten, name)(x.center, *args, **kwargs)
    return found


for _name in ("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full"):
    bound(_name)(partial(_like, _name))
