"""Rules of layers that are linear in their input and in their weight, either of them changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from dnnrepair.bounds.arithmetic import add, matmul, mul
from dnnrepair.bounds.patched import Entry, Patched, value_of
from dnnrepair.bounds.remainders import fresh
from dnnrepair.bounds.rule import bound
from dnnrepair.bounds.zonotope import Product, Value, Zonotope, as_zonotope, bilinear, point

if TYPE_CHECKING:
    from types import EllipsisType

_MATRIX = 2  # rank of (N, classes)


class Layer(Protocol):
    """A layer as the rules see it."""

    def times(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return the output without bias."""
        ...

    def term(self, x: Tensor, entry: Entry) -> Tensor:
        """Return what 1 more in a weight adds to the one output unit that reads it."""
        ...

    def unit(self, entry: Entry) -> tuple[int | slice | EllipsisType, ...]:
        """Return where that unit stands in the output."""
        ...


def layered(x: Value, weight: Value | Patched, layer: Layer) -> Value:
    """Bound a layer's output without bias; ``x`` and ``weight`` may be bounds or tensors."""
    known = weight.center if isinstance(weight, Patched) else weight
    found = bilinear(x, known, layer.times)
    return _with_entries(found, x, weight, layer) if isinstance(weight, Patched) else found


def _with_entries(found: Value, x: Value, weight: Patched, layer: Layer) -> Zonotope:
    """Add what the changed weights do: ``dw x.center + dw dx``, the last in the remainder."""
    found = found if isinstance(found, Zonotope) else point(found, weight.symbols)
    slopes, own = found.slopes.clone(), torch.zeros_like(found.radius)
    for entry in weight.entries:
        unit = layer.unit(entry)
        term = layer.term(_middle(x), entry) * entry.half
        if entry.symbol is None:
            own[unit] += term.abs()
        else:
            slopes[(entry.symbol, *unit)] += term
        if isinstance(x, Zonotope):
            own[unit] += layer.term(x.spread, entry) * entry.half
    return Zonotope(fresh(found.center, own), slopes, found.radius + own)


@dataclass(frozen=True, slots=True)
class _Linear:
    def times(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.linear(x, weight)

    def term(self, x: Tensor, entry: Entry) -> Tensor:
        return x[..., entry.index[1]]

    def unit(self, entry: Entry) -> tuple[int | slice | EllipsisType, ...]:
        return (..., entry.index[0])


@bound("linear", sparse=True)
def linear(x: Value | Patched, weight: Value | Patched, bias: Value | Patched | None = None) -> Any:  # noqa: ANN401
    """Bound ``x @ weight.T + bias``; logits ``(N, classes)`` remember how they came about."""
    x, shift = value_of(x), None if bias is None else value_of(bias)
    found = layered(x, weight, _Linear())
    logits = found if shift is None else add(found, shift)
    if not isinstance(logits, Zonotope) or logits.dim() != _MATRIX or isinstance(weight, Zonotope):
        return logits
    most = weight.largest() if isinstance(weight, Patched) else weight.abs()
    scale = F.linear(_largest(x), most, None if shift is None else _largest(shift)).amax(1)
    known = weight.center if isinstance(weight, Patched) else weight
    radius = x.radius if isinstance(x, Zonotope) else torch.zeros_like(x)
    own = (logits.radius - F.linear(radius, known.abs())).clamp(min=0)
    return replace(logits, product=Product(radius, known, own, scale))


@bound("addmm")
def addmm(bias: Value, x: Value, weight: Value, *, beta: float = 1, alpha: float = 1) -> Value:
    """Bound ``beta bias + alpha x @ weight``."""
    product = matmul(x, weight)
    return add(mul(bias, beta) if beta != 1 else bias, product, alpha=alpha)


@bound("embedding", sparse=True)
def embedding(weight: Value | Patched, indices: Tensor, *_gradient: Any) -> Zonotope:  # noqa: ANN401
    """Bound the rows of a table, ``(*indices, width)``."""
    if not isinstance(weight, Patched):
        return as_zonotope(weight).map(lambda table: F.embedding(indices, table))
    found = point(F.embedding(indices, weight.center), weight.symbols)
    for entry in weight.entries:
        row, column = entry.index
        target = found.radius if entry.symbol is None else found.slopes[entry.symbol]
        target[..., column] += entry.half * (indices == row)
    return found


def _largest(x: Value) -> Tensor:
    return _middle(x).abs() + x.spread if isinstance(x, Zonotope) else x.abs()


def _middle(x: Value) -> Tensor:
    return (x.center if isinstance(x, Zonotope) else x).detach()
