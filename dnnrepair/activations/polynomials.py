"""Polynomials that approximate activations, for inference on encrypted numbers.

Chebyshev polynomials on the range that a layer sees; for ReLU, x times a composite polynomial that
approximates the sign (Lee et al. 2021, arXiv:2105.10879).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import chebyshev
from scipy.optimize import linprog, minimize_scalar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NODES = 500  # at which minimax errors are held down
DEGREES: dict[int, tuple[int, ...]] = {  # of the stages whose largest error is 2^-precision
    4: (5,),
    5: (13,),
    6: (3, 7),
    7: (7, 7),
    8: (7, 15),
    9: (15, 15),
    10: (7, 7, 13),
    11: (7, 7, 27),
    12: (7, 15, 27),
    13: (15, 15, 27),
}


@dataclass(frozen=True, slots=True)
class Stage:
    """An odd polynomial: the sum of ``coefficients[j] T_{2j+1}(y / span)``."""

    span: float
    coefficients: tuple[float, ...]

    def __call__(self, y: Floats) -> Floats:
        """Return its values at ``y``."""
        full = np.zeros(2 * len(self.coefficients))
        full[1::2] = self.coefficients
        return np.asarray(chebyshev.chebval(y / self.span, full), np.float64)


def least_squares(z: Floats, values: Floats, degree: int, low: float, high: float) -> Floats:
    """Return Chebyshev coefficients ``(degree + 1,)`` on [low, high] nearest to ``values (n,)``."""
    basis = np.asarray(chebyshev.chebvander(_unit(z, low, high), degree), np.float64)
    return np.asarray(np.linalg.lstsq(basis, values, rcond=None)[0], np.float64)


def minimax(function: Callable[[Floats], Floats], degree: int, low: float, high: float) -> Floats:
    """Return Chebyshev coefficients on [low, high] with the smallest largest error, at the nodes.

    The nodes are those of Chebyshev and the ends, more of them for higher degrees.
    """
    count = max(NODES, 20 * degree)
    nodes = np.concatenate([[-1.0], np.cos(np.pi * (np.arange(count) + 0.5) / count), [1.0]])
    target = function(low + (nodes + 1) * (high - low) / 2)
    return _smallest_error(np.asarray(chebyshev.chebvander(nodes, degree), np.float64), target)[0]


@lru_cache(maxsize=32)
def composite_sign(degrees: tuple[int, ...]) -> tuple[Stage, ...]:
    """Return stages whose composition p makes x (1 + p(x)) / 2 nearest to ReLU on [-1, 1].

    Each stage is minimax against 1 on the interval into which the one before it maps; the first on
    [eps, 1], eps chosen so that the largest error of the whole is smallest.
    """

    def error(log_eps: float) -> float:
        return relu_error(_stages(degrees, math.exp(log_eps)))

    grid = np.linspace(math.log(1.5e-4), math.log(0.5), 8)
    place = int(np.argmin([error(point) for point in grid.tolist()]))
    near = grid[max(place - 1, 0)], grid[min(place + 1, len(grid) - 1)]
    found = minimize_scalar(error, bounds=near, method="bounded", options={"xatol": 1e-3})
    return _stages(degrees, math.exp(float(found.x)))


def relu_error(stages: Sequence[Stage]) -> float:
    """Return the largest distance of x (1 + p(x)) / 2 from ReLU on [-1, 1]."""
    x = np.concatenate([np.geomspace(1e-7, 1, 4000), np.linspace(0, 1, 2001)])
    y = x
    for stage in stages:
        y = stage(y)
    return float(np.abs(x * (y - 1) / 2).max())  # odd, so that both sides err alike


def _stages(degrees: Sequence[int], eps: float) -> tuple[Stage, ...]:
    low, high = eps, 1.0
    found = []
    for degree in degrees:
        angles = np.pi * (np.arange(NODES) + 0.5) / NODES
        nodes = np.concatenate([[low, high], low + (np.cos(angles) + 1) * (high - low) / 2])
        basis = np.asarray(chebyshev.chebvander(nodes / high, degree)[:, 1::2], np.float64)
        coefficients, error = _smallest_error(basis, np.ones(len(nodes)))
        found.append(Stage(high, tuple(coefficients.tolist())))
        low, high = 1 - error, 1 + error
    return tuple(found)


def _smallest_error(basis: Floats, target: Floats) -> tuple[Floats, float]:
    """Return the coefficients ``(k,)`` with the smallest largest error, and that error."""
    count, width = basis.shape
    rows = np.block([[basis, -np.ones((count, 1))], [-basis, -np.ones((count, 1))]])
    found = linprog(
        np.r_[np.zeros(width), 1.0],
        A_ub=rows,
        b_ub=np.r_[target, -target],
        bounds=[(None, None)] * width + [(0, None)],
        method="highs",
    )
    assert found.x is not None  # there always is a polynomial  # noqa: S101
    coefficients: Floats = found.x[:width]
    return coefficients, float(np.abs(basis @ coefficients - target).max())


def _unit(z: Floats, low: float, high: float) -> Floats:
    return 2 * (z - low) / (high - low) - 1
