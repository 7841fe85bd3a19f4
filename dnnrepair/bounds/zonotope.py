"""Zonotopes: values as affine functions of the changed weights, plus or minus a remainder.

``x = center + sum_j slopes[j] e_j +- radius`` with ``e_j`` in [-1, 1], one per changed weight.
The form keeps what values have in common, so it cancels where intervals add up (Ghorbal, Goubault
and Putot, CAV 2009; Gehr et al., S&P 2018; Singh et al., NeurIPS 2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

from dnnrepair.bounds.remainders import fresh
from dnnrepair.bounds.rule import Bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """How logits came about, to bound their differences more tightly than themselves.

    Attributes:
        radius: remainder of the last Linear's input, ``(N, in)``.
        weight: of the last Linear, ``(classes, in)``.
        own: remainder that arose in the Linear itself, ``(N, classes)``.
        scale: largest sum of absolute terms behind a logit, ``(N,)``; rounding is relative to it.
    """

    radius: Tensor
    weight: Tensor
    own: Tensor
    scale: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Zonotope(Bounded):
    """All values a tensor can take over the search box.

    Attributes:
        center: ``(...)``; the one part through which gradients may flow (see ``remainders.py``).
        slopes: by symbol, ``(k, ...)``.
        radius: of the remainder, ``(...)``, at least 0.
        product: if it is the output of a Linear with classes as its only other dimension.
        logits: if it is a softmax over classes, of what; it changes no verdict.
    """

    center: Tensor
    slopes: Tensor
    radius: Tensor
    product: Product | None = None
    logits: Zonotope | None = None

    @property
    def spread(self) -> Tensor:
        """How far a value can be from the center, ``(...)``."""
        return self.slopes.abs().sum(0) + self.radius

    @property
    def low(self) -> Tensor:
        """The least values."""
        return self.center.detach() - self.spread

    @property
    def high(self) -> Tensor:
        """The greatest values."""
        return self.center.detach() + self.spread

    def full(self) -> Zonotope:
        """Return itself."""
        return self

    @property
    def shape(self) -> torch.Size:
        """Of the tensor."""
        return self.center.shape

    def dim(self) -> int:
        """Return the rank of the tensor."""
        return self.center.dim()

    def map(self, function: Callable[[Tensor], Tensor]) -> Zonotope:
        """Apply a linear function whose coefficients are at least 0, such as a view or a mean."""
        return self.map_signed(function, function)

    def map_signed(
        self, function: Callable[[Tensor], Tensor], absolute: Callable[[Tensor], Tensor]
    ) -> Zonotope:
        """Apply a linear function; ``absolute`` is the one with the coefficients' magnitudes."""
        center = function(self.center)
        slopes = _stacked([function(slope) for slope in self.slopes], center)
        return Zonotope(center, slopes, absolute(self.radius))

    def scaled(self, factor: float) -> Zonotope:
        """Multiply by a number."""
        return Zonotope(self.center * factor, self.slopes * factor, self.radius * abs(factor))

    def between(self, slope: Tensor, low: Tensor, high: Tensor) -> Zonotope:
        """Enclose a function ``f`` with ``slope x + low <= f(x) <= slope x + high`` elementwise."""
        half = (high - low) / 2
        center = fresh(slope * self.center + (low + high) / 2, half)
        return Zonotope(center, self.slopes * slope, self.radius * slope.abs() + half)


Value: TypeAlias = Tensor | Zonotope


def point(value: Tensor, symbols: int) -> Zonotope:
    """Return a value that is known exactly."""
    value = value.detach()
    return Zonotope(value, value.new_zeros(symbols, *value.shape), torch.zeros_like(value))


def as_zonotope(value: object) -> Zonotope:
    """Return what must be a zonotope already, because it was made from one."""
    if isinstance(value, Zonotope):
        return value
    message = f"expected bounds, not a {type(value).__name__}"
    raise TypeError(message)


def lifted(values: Sequence[Value]) -> list[Zonotope]:
    """Return values as zonotopes; at least one of them must be one."""
    symbols = next(len(v.slopes) for v in values if isinstance(v, Zonotope))
    return [v if isinstance(v, Zonotope) else point(v, symbols) for v in values]


def total(x: Zonotope, y: Zonotope) -> Zonotope:
    """Return ``x + y``, broadcast against each other."""
    center = x.center + y.center
    pairs = zip(x.slopes, y.slopes, strict=True)
    slopes = [(one + two).expand_as(center) for one, two in pairs]
    return Zonotope(center, _stacked(slopes, center), (x.radius + y.radius).expand_as(center))


def bilinear(x: Value, y: Value, times: Callable[[Tensor, Tensor], Tensor]) -> Value:
    """Apply a bilinear function with coefficients at least 0, such as a (matrix) product.

    With ``dx = x - x.center`` and ``dy``: ``xy = x.c y.c + dx y.c + x.c dy + dx dy``; the last
    term is bounded by the product of the spreads.
    """
    if isinstance(x, Tensor) and isinstance(y, Tensor):
        return times(x, y)
    if isinstance(y, Tensor):
        right = y.detach()
        return as_zonotope(x).map_signed(
            lambda part: times(part, right), lambda part: times(part, right.abs())
        )
    if isinstance(x, Tensor):
        left = x.detach()
        return y.map_signed(lambda part: times(left, part), lambda part: times(left.abs(), part))
    left, right, cross = x.center.detach(), y.center.detach(), times(x.spread, y.spread)
    center = fresh(times(x.center, y.center), cross)
    pairs = zip(x.slopes, y.slopes, strict=True)
    slopes = [times(one, right) + times(left, two) for one, two in pairs]
    radius = times(x.radius, right.abs()) + times(left.abs(), y.radius)
    return Zonotope(center, _stacked(slopes, center), radius + cross)


def _stacked(slopes: list[Tensor], like: Tensor) -> Tensor:
    return torch.stack(slopes) if slopes else like.new_zeros(0, *like.shape)
