"""Where an activation's values and slopes lie, and where it is flat."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

import torch

from dnnrepair.activations.moments import sloped

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.activations.activation import Activation

NEAR = 20.0  # inputs up to here are looked at closely
FAR = 1e6  # and up to here in steps of a growing size
BOUNDLESS = 1e3  # what is larger than this at FAR has no bound
FLAT = 0.05  # of the largest slope
_FINE, _COARSE = 40_000, 200  # points of the grid; even, so that no point is 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a function of one variable looks like.

    Attributes:
        values: lowest and highest output, infinite where there is no bound.
        lowest_at: input of the lowest output, None if that is at no finite place.
        slopes: lowest and highest slope, in the same way.
        flat: tails, from the end of its domain inwards, in which the slope stays below 5 % of the
            largest one, or of 1 where slopes have no bound: a unit there is saturated.
    """

    values: tuple[float, float]
    lowest_at: float | None
    slopes: tuple[float, float]
    flat: tuple[tuple[float, float], ...]


def shape_of(activation: Activation) -> Shape:
    """Return the shape of an activation of one input, on its domain."""
    x = _grid(*activation.domain)
    value, slope = sloped(activation.function, x)
    values, slopes = _span(value), _span(slope)
    at = int(value.argmin())
    inside = abs(float(x[at])) < NEAR and (value.diff()[:at] < 0).any()
    steepest = max(abs(slopes[0]), abs(slopes[1]))
    limit = FLAT * (steepest if steepest < inf else 1.0)
    return Shape(
        values=values,
        lowest_at=float(x[at]) if inside and values[0] > -inf else None,
        slopes=slopes,
        flat=tuple(_tails(x, slope.abs() < limit, activation.domain)),
    )


def _grid(low: float, high: float) -> Tensor:
    """Return inputs in order ``(n,)``, float64."""
    step = 2 * NEAR / _FINE
    near = -NEAR + step * (torch.arange(_FINE, dtype=torch.float64) + 0.5)
    far = torch.logspace(1.31, 6, _COARSE, dtype=torch.float64)  # from just beyond NEAR to FAR
    x = torch.cat([-far.flip(0), near, far])
    return x[(x >= low) & (x <= high)]


def _span(values: Tensor) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    ends = float(values[0]), float(values[-1])
    return (
        -inf if min(ends) < -BOUNDLESS else low,
        inf if max(ends) > BOUNDLESS else high,
    )


def _tails(x: Tensor, flat: Tensor, domain: tuple[float, float]) -> list[tuple[float, float]]:
    """Return the flat intervals that reach an end of the domain."""
    found = []
    steep = (~flat).nonzero()[:, 0]
    first, last = int(steep[0]), int(steep[-1])
    if first > 0:
        found.append((domain[0], _edge(x, first - 1)))
    if last < len(x) - 1:
        found.append((_edge(x, last), domain[1]))
    return found


def _edge(x: Tensor, place: int) -> float:
    """Return the middle between two neighbors, 0 for what is nearer than the grid can tell."""
    middle = float(x[place] + x[place + 1]) / 2
    return 0.0 if abs(middle) < NEAR / _FINE else middle
