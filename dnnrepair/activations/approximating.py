"""The polynomial nearest to an activation on the inputs that a layer really sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.activations.fit import ordered_sample
from dnnrepair.activations.pann import Pann, PolynomialActivation
from dnnrepair.activations.polynomials import DEGREES, least_squares, minimax
from dnnrepair.activations.rectifiers import ReLU
from dnnrepair.errors import SettingError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from dnnrepair.activations.activation import Activation

    Floats = NDArray[np.float64]

MARGIN = 1.2  # times the farthest input seen: outside of its range a polynomial explodes
NORMS = ("least-squares", "minimax")
HIGHEST = 63  # degree; more is lost in rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Approximation:
    """A polynomial and how near it comes.

    Attributes:
        activation: the polynomial.
        error: root mean square of the difference on the inputs seen.
        largest: difference on the inputs seen, in absolute value.
    """

    activation: Activation
    error: float
    largest: float


def approximate(
    old: Activation, z: Tensor, *, degree: int, norm: str = "least-squares"
) -> Approximation:
    """Return the polynomial nearest to ``old`` on the inputs ``z`` of a layer.

    Args:
        old: what is approximated.
        z: the pre-activations that the layer sees, of any shape. The polynomial's range is that of
            ``z``, 1.2 times as wide.
        degree: of the polynomial, 1 to 63.
        norm: ``least-squares`` over ``z``, or ``minimax``: the smallest largest error over the
            whole range.

    Raises:
        SettingError: if degree or norm cannot be.
        DataError: if ``z`` is empty, constant or not finite.
    """
    if not 1 <= degree <= HIGHEST:
        message = f"degree takes numbers from 1 to {HIGHEST}, not {degree}"
        raise SettingError(message)
    if norm not in NORMS:
        message = f"norm takes {' or '.join(NORMS)}, not {norm!r}"
        raise SettingError(message)
    seen = ordered_sample(z)
    low, high = _widened(float(seen[0]), float(seen[-1]))

    def function(x: Floats) -> Floats:
        with torch.no_grad():
            values: Floats = old.function(torch.from_numpy(x)).numpy()
        return values

    if norm == "minimax":
        found = minimax(function, degree, low, high)
    else:
        found = least_squares(seen.numpy(), function(seen.numpy()), degree, low, high)
    coefficients = tuple(found.tolist())
    return _judged(PolynomialActivation(coefficients=coefficients, low=low, high=high), old, seen)


def composite(z: Tensor, *, precision: int) -> Approximation:
    """Return composed polynomials that are ReLU to so many bits on the range of ``z``, widened.

    Raises:
        SettingError: if there is no such precision.
        DataError: if ``z`` is empty, constant or not finite.
    """
    if precision not in DEGREES:
        message = f"precision takes numbers from {min(DEGREES)} to {max(DEGREES)}, not {precision}"
        raise SettingError(message)
    seen = ordered_sample(z)
    bound = MARGIN * float(seen.abs().max())
    return _judged(Pann(precision=precision, bound=bound), ReLU(), seen)


def outside(activation: Activation, z: Tensor) -> Tensor:
    """Return which of ``z`` lie outside the range that a polynomial is made for; NaN does, too."""
    low, high = activation.domain
    return ~((z >= low) & (z <= high))


def _widened(low: float, high: float) -> tuple[float, float]:
    spare = (MARGIN - 1) * (high - low) / 2
    return low - spare, high + spare


def _judged(new: Activation, old: Activation, seen: Tensor) -> Approximation:
    with torch.no_grad():
        difference = new.function(seen) - old.function(seen)
    return Approximation(
        activation=new,
        error=float(difference.square().mean().sqrt()),
        largest=float(difference.abs().max()),
    )
