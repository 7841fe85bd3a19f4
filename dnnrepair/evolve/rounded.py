"""Mathematics from correctly rounded operations only: the same bits on every device.

The logarithm or tangent of a library differs in the last bit between devices, and even with the
place of an element in its tensor. Sums, products, quotients and square roots do not.
"""

from __future__ import annotations

import math
from functools import reduce
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

# Coefficients of PPND16, Algorithm AS 241 (Wichura 1988), highest power first.
_CENTRAL = (
    (
        2509.0809287301226727,
        33430.575583588128105,
        67265.770927008700853,
        45921.953931549871457,
        13731.693765509461125,
        1971.5909503065514427,
        133.14166789178437745,
        3.387132872796366608,
    ),
    (
        5226.495278852854561,
        28729.085735721942674,
        39307.89580009271061,
        21213.794301586595867,
        5394.1960214247511077,
        687.1870074920579083,
        42.313330701600911252,
        1.0,
    ),
)
_MIDDLE = (
    (
        7.7454501427834140764e-4,
        0.0227238449892691845833,
        0.24178072517745061177,
        1.27045825245236838258,
        3.64784832476320460504,
        5.7694972214606914055,
        4.6303378461565452959,
        1.42343711074968357734,
    ),
    (
        1.05075007164441684324e-9,
        5.475938084995344946e-4,
        0.0151986665636164571966,
        0.14810397642748007459,
        0.68976733498510000455,
        1.6763848301838038494,
        2.05319162663775882187,
        1.0,
    ),
)
_OUTER = (
    (
        2.01033439929228813265e-7,
        2.71155556874348757815e-5,
        0.0012426609473880784386,
        0.026532189526576123093,
        0.29656057182850489123,
        1.7848265399172913358,
        5.4637849111641143699,
        6.6579046435011037772,
    ),
    (
        2.04426310338993978564e-15,
        1.4215117583164458887e-7,
        1.8463183175100546818e-5,
        7.868691311456132591e-4,
        0.0148753612908506148525,
        0.13692988092273580531,
        0.59983220655588793769,
        1.0,
    ),
)
_LOG_TERMS = tuple(1.0 / n for n in range(19, 0, -2))  # of the series of artanh


def log(x: Tensor) -> Tensor:
    """Return the natural logarithm of positive float64 numbers, to 1e-15 relative to its scale."""
    mantissa, exponent = torch.frexp(x)  # x = mantissa * 2**exponent, mantissa in [0.5, 1)
    low = mantissa < math.sqrt(0.5)
    mantissa = torch.where(low, mantissa * 2, mantissa)
    power = exponent.to(torch.float64) - low.to(torch.float64)
    ratio = (mantissa - 1) / (mantissa + 1)
    return power * math.log(2) + ratio * _polynomial(_LOG_TERMS, ratio * ratio) * 2


def normal_quantile(p: Tensor) -> Tensor:
    """Return the standard normal quantile of float64 ``p`` in (0, 1) (AS 241, Wichura 1988)."""
    centred = p - 0.5
    tail = torch.sqrt(-log(torch.minimum(p, 1 - p)))
    outer = torch.where(tail <= 5, _ratio(_MIDDLE, tail - 1.6), _ratio(_OUTER, tail - 5))  # noqa: PLR2004 - published
    central = centred * _ratio(_CENTRAL, 0.180625 - centred * centred)
    return torch.where(centred.abs() <= 0.425, central, torch.copysign(outer, centred))  # noqa: PLR2004 - published


def cauchy_quantile(p: Tensor) -> Tensor:
    """Return the standard Cauchy quantile ``tan(pi (p - 1/2))`` of float64 ``p`` in (0, 1).

    The relative error is below 1e-8: that of the Padé approximant of order [5/4].
    """
    turn = p - 0.5
    folded = torch.minimum(turn.abs(), 0.5 - turn.abs())
    x = folded * math.pi
    square = x * x
    tangent = x * _polynomial((1.0, -105.0, 945.0), square)
    tangent = tangent / _polynomial((15.0, -420.0, 945.0), square)
    return torch.copysign(torch.where(turn.abs() <= folded, tangent, 1 / tangent), turn)


def total(share: Tensor) -> Tensor:
    """Return 2**40 times the sum over the last dimension of numbers in [0, 1].

    Each is rounded to a multiple of 2**-40 first, so that the order does not matter: a sum of
    floating point numbers depends on how a device, or a batch, cuts it up.
    """
    return (share * 2.0**40).to(torch.int64).sum(dim=-1).to(torch.float64)


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: Tensor) -> Tensor:
    above, below = coefficients
    return _polynomial(above, x) / _polynomial(below, x)


def _polynomial(coefficients: tuple[float, ...], x: Tensor) -> Tensor:
    """Return the polynomial in x, its coefficients given from the highest power (Horner)."""
    first, second, *rest = coefficients
    return reduce(lambda value, c: value * x + c, rest, x * first + second)
