"""Rules of sums and products."""

from __future__ import annotations

import torch
from torch import Tensor

from dnnrepair.bounds.enclosing import reciprocal
from dnnrepair.bounds.rule import UnboundedError, bound
from dnnrepair.bounds.zonotope import Value, Zonotope, as_zonotope, bilinear, lifted, total


@bound("add")
def add(x: Value | float, other: Value | float, *, alpha: float = 1) -> Value:
    """Bound ``x + alpha other``."""
    other = other if alpha == 1 else mul(other, alpha)
    if isinstance(x, Zonotope):
        return total(x, other) if isinstance(other, Zonotope) else _shifted(x, other)
    return _shifted(other, x) if isinstance(other, Zonotope) else torch.as_tensor(x + other)


@bound("sub")
def sub(x: Value | float, other: Value | float, *, alpha: float = 1) -> Value:
    """Bound ``x - alpha other``."""
    return add(x, other, alpha=-alpha)


@bound("rsub")
def rsub(x: Value | float, other: Value | float, *, alpha: float = 1) -> Value:
    """Bound ``other - alpha x``."""
    return add(other, x, alpha=-alpha)


@bound("neg", "negative")
def neg(x: Zonotope) -> Zonotope:
    """Bound ``-x``."""
    return x.scaled(-1.0)


@bound("mul", "multiply")
def mul(x: Value | float, other: Value | float) -> Value:
    """Bound the elementwise product."""
    if isinstance(x, Zonotope) and not isinstance(other, Tensor | Zonotope):
        return x.scaled(float(other))
    if isinstance(other, Zonotope) and not isinstance(x, Tensor | Zonotope):
        return other.scaled(float(x))
    one, two = torch_value(x), torch_value(other)
    return bilinear(one, two, torch.mul)


@bound("div", "divide", "true_divide")
def div(x: Value | float, other: Value | float, *, rounding_mode: str | None = None) -> Value:
    """Bound the elementwise quotient.

    Raises:
        UnboundedError: the quotient is rounded to integers.
    """
    if rounding_mode is not None:
        message = f"no interval rule for aten.div with rounding mode {rounding_mode!r}"
        raise UnboundedError(message)
    return mul(x, reciprocal(other) if isinstance(other, Zonotope) else 1 / other)


@bound("matmul", "mm", "bmm")
def matmul(x: Value, other: Value) -> Value:
    """Bound a matrix product."""
    return bilinear(x, other, torch.matmul)


@bound("square")
def square(x: Zonotope) -> Value:
    """Bound ``x^2``."""
    return mul(x, x)


@bound("where")
def where(condition: Tensor, x: Value | float, other: Value | float) -> Zonotope:
    """Bound a choice that no changed weight influences.

    Raises:
        UnboundedError: the condition depends on changed weights.
    """
    if isinstance(condition, Zonotope):
        message = "no interval rule for aten.where with a condition that changes"
        raise UnboundedError(message)
    one, two = lifted([torch_value(x), torch_value(other)])
    kept = condition.to(one.center.dtype)
    first, second = bilinear(one, kept, torch.mul), bilinear(two, 1 - kept, torch.mul)
    found = total(as_zonotope(first), as_zonotope(second))
    center = torch.where(condition, one.center, two.center)  # also where the other is infinite
    return Zonotope(center, found.slopes, found.radius)


@bound("masked_fill")
def masked_fill(x: Zonotope, mask: Tensor, value: float | Tensor) -> Zonotope:
    """Bound ``x`` with a known value in places that no changed weight influences."""
    return where(mask, value, x)


def torch_value(x: Value | float) -> Value:
    """Return a number as a tensor, and masks as numbers."""
    if isinstance(x, Zonotope):
        return x
    found = torch.as_tensor(x)
    return found if found.is_floating_point() else found.to(torch.get_default_dtype())


def _shifted(x: Zonotope, other: Tensor | float) -> Zonotope:
    center = x.center + (other.detach() if isinstance(other, Tensor) else other)
    if center.shape == x.center.shape:
        return Zonotope(center, x.slopes, x.radius)
    wide = x.map(lambda part: part.expand_as(center))
    return Zonotope(center, wide.slopes, wide.radius)
