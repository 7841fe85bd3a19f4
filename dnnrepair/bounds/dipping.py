"""Rules of activations that dip below 0 before they rise: SiLU, GELU, Mish, Hardswish."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from dnnrepair.bounds.rule import bound

if TYPE_CHECKING:
    from collections.abc import Callable

    from dnnrepair.bounds.zonotope import Zonotope

    Function = Callable[[Tensor], Tensor]


def leaning(x: Zonotope, function: Function, least: Tensor) -> Zonotope:
    """Enclose ``f`` by its least slope ``s``: ``f(x) - s x`` rises, so its ends bound it.

    Args:
        x: its argument.
        function: f.
        least: at most the least slope of f in each range, ``(...)``.
    """
    low, high = x.low, x.high
    rounded = least - 8 * torch.finfo(least.dtype).eps * (1 + least.abs())
    slope = torch.where(high > low, rounded, torch.zeros_like(rounded))
    return x.between(slope, function(low) - slope * low, function(high) - slope * high)


def dipped(
    x: Zonotope, function: Function, slope: Function, valley: tuple[float, float], floor: float
) -> Zonotope:
    """Enclose a function whose slope falls to one valley, rises to a peak and falls to 1.

    Args:
        x: its argument.
        function: f.
        slope: f'.
        valley: around the point where the slope is least.
        floor: at most the least slope.
    """
    low, high = x.low, x.high
    ends = torch.minimum(slope(low), slope(high))
    inside = (low <= valley[1]) & (high >= valley[0])
    return leaning(x, function, torch.where(inside, torch.full_like(ends, floor), ends))


@bound("silu")
def silu(x: Zonotope) -> Zonotope:
    """Bound ``x sigmoid(x)``; its slope is least, -0.09984, at -2.39936."""

    def slope(part: Tensor) -> Tensor:
        gate = torch.sigmoid(part)
        return gate * (1 + part * (1 - gate))

    return dipped(x, F.silu, slope, (-2.41, -2.39), -0.09985)


@bound("gelu")
def gelu(x: Zonotope, *, approximate: str = "none") -> Zonotope:
    """Bound ``x Phi(x)``, of slope ``Phi + x phi``, least, -0.12891, at ``-sqrt(2)``."""
    if approximate == "tanh":
        return dipped(x, _tanh_gelu, _tanh_gelu_slope, (-1.45, -1.38), -0.1291)

    def slope(part: Tensor) -> Tensor:
        density = torch.exp(-part * part / 2) / math.sqrt(2 * math.pi)
        below: Tensor = torch.special.ndtr(part)
        return below + part * density

    return dipped(x, F.gelu, slope, (-1.42, -1.41), -0.12892)


@bound("mish")
def mish(x: Zonotope) -> Zonotope:
    """Bound ``x tanh(softplus(x))``."""

    def slope(part: Tensor) -> Tensor:
        gate = torch.tanh(F.softplus(part))
        return gate + part * torch.sigmoid(part) * (1 - gate * gate)

    return dipped(x, F.mish, slope, (-2.27, -2.24), -0.1133)


@bound("hardswish")
def hardswish(x: Zonotope) -> Zonotope:
    """Bound ``x relu6(x + 3) / 6``: 0, then ``x (x + 3) / 6`` from -3 to 3, then ``x``."""
    low, high = x.low, x.high
    curve = (2 * low.clamp(min=-3) + 3) / 6
    least = torch.where(high <= -3, torch.zeros_like(low), curve.clamp(max=1))  # noqa: PLR2004
    return leaning(x, F.hardswish, least)


def _tanh_gelu(part: Tensor) -> Tensor:
    return F.gelu(part, approximate="tanh")


def _tanh_gelu_slope(part: Tensor) -> Tensor:
    factor = math.sqrt(2 / math.pi)
    gate = torch.tanh(factor * (part + 0.044715 * part**3))
    inner = factor * (1 + 3 * 0.044715 * part * part)
    return (1 + gate) / 2 + part * (1 - gate * gate) * inner / 2
