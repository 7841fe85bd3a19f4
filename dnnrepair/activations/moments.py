"""What an activation does to normally distributed pre-activations, by quadrature."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

POINTS = 24_000  # even, so that no point is 0, where slopes of the ReLU kind jump
FARTHEST = 12.0  # standard deviations; beyond them lies 1e-33 of the probability


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments of f(z) for z ~ N(0, 1).

    Poole et al. 2016, arXiv:1606.05340; Schoenholz et al. 2017, arXiv:1611.01232.

    Attributes:
        mean: E f.
        square: E f^2.
        slope_square: E f'^2.
        scale_slope: E[f f' z] / E f^2, the slope of the map E z^2 -> E z^2 at 1. Above 1, errors
            of scale grow from layer to layer: the activation needs normalized input.
    """

    mean: float
    square: float
    slope_square: float
    scale_slope: float

    @property
    def forward_gain(self) -> float:
        """Standard deviation of weights, times sqrt(fan_in), that keeps E z^2 at 1."""
        return 1 / math.sqrt(self.square)

    @property
    def backward_gain(self) -> float:
        """The same, that keeps the mean square of gradients."""
        return 1 / math.sqrt(self.slope_square)

    @property
    def chi(self) -> float:
        """Factor of the mean square of gradients per layer, under the forward gain."""
        return self.slope_square / self.square


def gaussian(function: Callable[[Tensor], Tensor], domain: tuple[float, float]) -> Moments:
    """Return the moments of a function of one variable.

    The midpoint rule in float64, with slopes from autograd.

    Args:
        function: element by element.
        domain: inputs that it is made for; what lies outside is left out.
    """
    low, high = max(domain[0], -FARTHEST), min(domain[1], FARTHEST)
    step = (high - low) / POINTS
    z = low + step * (torch.arange(POINTS, dtype=torch.float64) + 0.5)
    weights = step * torch.exp(-z.square() / 2) / (2 * torch.pi) ** 0.5
    value, slope = sloped(function, z)
    square = float(weights @ value.square())
    return Moments(
        mean=float(weights @ value),
        square=square,
        slope_square=float(weights @ slope.square()),
        scale_slope=float(weights @ (value * slope * z)) / square,
    )


def sloped(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the values and the slopes of a function of one variable, each like ``x``."""
    with torch.enable_grad():
        inputs = x.detach().requires_grad_()
        value = function(inputs)
        (slope,) = torch.autograd.grad(value.sum(), inputs)
    return value.detach(), slope
