"""Rules of elementwise functions: between two parallel lines over each element's range."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from dnnrepair.bounds.rule import UnboundedError, bound
from dnnrepair.bounds.zonotope import Zonotope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Function = Callable[[Tensor], Tensor]
    Turns = Callable[[Tensor], Sequence[Tensor]]


def enclosed(
    x: Zonotope, function: Function, turns: Turns, floor: Tensor | float | None = None
) -> Zonotope:
    """Enclose an elementwise function by the chord over each range and a parallel to it.

    ``f(x) - s x`` takes its extremes at an end of the range or where it turns, so those points
    suffice, for whatever slope ``s``.

    Args:
        x: its argument.
        function: f.
        turns: given s, the points at which ``f(x) - s x`` can turn: kinks, and where f' = s.
        floor: what the argument is known not to fall below.
    """
    low, high = x.low, x.high
    if floor is not None:
        low = torch.clamp(low, min=floor)
        high = torch.maximum(high, low)
    chord = (function(high) - function(low)) / (high - low)
    slope = torch.where(high > low, chord, torch.zeros_like(chord))
    points = [low, high, *(turn.clamp(low, high) for turn in turns(slope))]
    gaps = torch.stack([function(point) - slope * point for point in points])
    return x.between(slope, gaps.amin(0), gaps.amax(0))


def kinked(x: Zonotope, function: Function, *kinks: float) -> Zonotope:
    """Enclose a function that is linear between kinks."""
    return enclosed(x, function, lambda slope: [torch.full_like(slope, kink) for kink in kinks])


@bound("relu")
def relu(x: Zonotope) -> Zonotope:
    """Bound ``max(x, 0)``."""
    return kinked(x, F.relu, 0.0)


@bound("relu6")
def relu6(x: Zonotope) -> Zonotope:
    """Bound ``min(max(x, 0), 6)``."""
    return kinked(x, F.relu6, 0.0, 6.0)


@bound("leaky_relu")
def leaky_relu(x: Zonotope, negative_slope: float = 0.01) -> Zonotope:
    """Bound ``x`` above and ``negative_slope x`` below 0."""
    return kinked(x, lambda part: F.leaky_relu(part, negative_slope), 0.0)


@bound("abs")
def absolute(x: Zonotope) -> Zonotope:
    """Bound ``|x|``."""
    return kinked(x, torch.abs, 0.0)


@bound("clamp", "clip")
def clamp(
    x: Zonotope,
    min: float | Tensor | None = None,  # noqa: A002 - as torch has it
    max: float | Tensor | None = None,  # noqa: A002 - as torch has it
) -> Zonotope:
    """Bound ``x`` cut off below ``min`` and above ``max``."""
    ends = [end for end in (min, max) if end is not None]
    if any(isinstance(end, Zonotope) for end in ends):
        message = "no interval rule for aten.clamp with limits that change"
        raise UnboundedError(message)
    return enclosed(
        x,
        lambda part: torch.clamp(part, min, max),  # type: ignore[arg-type]
        lambda slope: [torch.zeros_like(slope) + end for end in ends],
    )


@bound("hardtanh")
def hardtanh(x: Zonotope, min_val: float = -1, max_val: float = 1) -> Zonotope:
    """Bound ``x`` cut off at both ends."""
    return clamp(x, min_val, max_val)


@bound("clamp_min")
def clamp_min(x: Zonotope, least: float | Tensor) -> Zonotope:
    """Bound ``x`` cut off below."""
    return clamp(x, least)


@bound("clamp_max")
def clamp_max(x: Zonotope, most: float | Tensor) -> Zonotope:
    """Bound ``x`` cut off above."""
    return clamp(x, None, most)


@bound("hardsigmoid")
def hardsigmoid(x: Zonotope) -> Zonotope:
    """Bound ``relu6(x + 3) / 6``."""
    return kinked(x, F.hardsigmoid, -3.0, 3.0)


@bound("tanh")
def tanh(x: Zonotope) -> Zonotope:
    """Bound the hyperbolic tangent, of slope ``1 - tanh^2``."""

    def turns(slope: Tensor) -> list[Tensor]:
        place = torch.atanh((1 - slope).clamp(0, 1).sqrt())
        return [place, -place]

    return enclosed(x, torch.tanh, turns)


@bound("sigmoid", "special_expit")
def sigmoid(x: Zonotope) -> Zonotope:
    """Bound the logistic function ``p``, of slope ``p (1 - p)``."""

    def turns(slope: Tensor) -> list[Tensor]:
        place = torch.logit((1 + (1 - 4 * slope).clamp(0, 1).sqrt()) / 2)
        return [place, -place]

    return enclosed(x, torch.sigmoid, turns)


@bound("softplus")
def softplus(x: Zonotope, beta: float = 1, threshold: float = 20) -> Zonotope:
    """Bound ``log(1 + exp(beta x)) / beta``, of slope ``sigmoid(beta x)``."""
    return enclosed(
        x,
        lambda part: F.softplus(part, beta, threshold),
        lambda slope: [torch.logit(slope.clamp(0, 1)) / beta],
    )


@bound("log_sigmoid")
def log_sigmoid(x: Zonotope) -> Zonotope:
    """Bound ``log sigmoid(x)``."""
    return softplus(x.scaled(-1.0), 1, float("inf")).scaled(-1.0)


@bound("elu")
def elu(x: Zonotope, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Zonotope:
    """Bound ``scale x`` above 0 and ``scale alpha (exp(input_scale x) - 1)`` below."""

    def function(part: Tensor) -> Tensor:
        below = alpha * torch.expm1(input_scale * part.clamp(max=0))
        return scale * torch.where(part > 0, part, below)

    def turns(slope: Tensor) -> list[Tensor]:
        ratio = (slope / (scale * alpha * input_scale)).clamp(min=0)
        return [torch.log(ratio) / input_scale, torch.zeros_like(slope)]

    return enclosed(x, function, turns)


@bound("celu")
def celu(x: Zonotope, alpha: float = 1) -> Zonotope:
    """Bound ``x`` above 0 and ``alpha (exp(x / alpha) - 1)`` below."""
    return elu(x, alpha, 1, 1 / alpha)


@bound("selu")
def selu(x: Zonotope) -> Zonotope:
    """Bound the self-normalizing ELU (Klambauer et al. 2017)."""
    return elu(x, 1.6732632423543772, 1.0507009873554805)


@bound("exp")
def exp(x: Zonotope) -> Zonotope:
    """Bound the exponential, which is its own slope."""
    return enclosed(x, torch.exp, lambda slope: [torch.log(slope.clamp(min=0))])


@bound("log")
def log(x: Zonotope) -> Zonotope:
    """Bound ``log(x)``; unknown where ``x`` may be negative."""
    return enclosed(x, torch.log, lambda slope: [1 / slope])


@bound("sqrt")
def sqrt(x: Zonotope) -> Zonotope:
    """Bound the root, whose slope is half its reciprocal; unknown where ``x`` may be negative."""
    return enclosed(x, torch.sqrt, lambda slope: [1 / (4 * slope**2)])


@bound("rsqrt")
def rsqrt(x: Zonotope, floor: Tensor | float | None = None) -> Zonotope:
    """Bound ``x^(-1/2)``, of slope ``-x^(-3/2) / 2``, for ``x`` at least ``floor``."""
    return enclosed(
        x, torch.rsqrt, lambda slope: [(-2 * slope).clamp(min=0).pow(-2 / 3)], floor=floor
    )


@bound("reciprocal")
def reciprocal(x: Zonotope, floor: Tensor | float | None = None) -> Zonotope:
    """Bound ``1 / x``, of slope ``-x^(-2)``; unknown where ``x`` may be 0."""

    def function(part: Tensor) -> Tensor:
        return torch.where(across, torch.nan, 1 / part)

    def turns(slope: Tensor) -> list[Tensor]:
        place = (-slope).clamp(min=0).rsqrt()
        return [torch.copysign(place, x.center.detach())]

    low = x.low if floor is None else torch.clamp(x.low, min=floor)
    across = (low <= 0) & (x.high >= 0)
    return enclosed(x, function, turns, floor=floor)
