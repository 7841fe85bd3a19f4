"""Formulas and derivatives of every activation, written out for numpy from the literature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Floats = NDArray[np.float64]
Function = Callable[..., Floats]

LAMBDA, ALPHA = 1.0507009873554805, 1.6732632423543772


def sg(x: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(x / 2)))


def phi(x: Floats) -> Floats:
    return np.asarray(np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi))


def where(x: Floats, above: Floats | float, below: Floats | float) -> Floats:
    return np.where(x > 0, above, below)


def mish(x: Floats) -> Floats:
    return np.asarray(x * np.tanh(np.logaddexp(0, x)))


def mish_slope(x: Floats) -> Floats:
    t = np.tanh(np.logaddexp(0, x))
    return np.asarray(t + x * sg(x) * (1 - t**2))


def ulu(x: Floats, a1: float, a2: float) -> Floats:
    a = np.where(x < 0, a1, a2)
    return np.asarray(0.5 * x * (np.tanh(a * x) + 1))


def ulu_slope(x: Floats, a1: float, a2: float) -> Floats:
    a = np.where(x < 0, a1, a2)
    return np.asarray(0.5 * (1 + np.tanh(a * x)) + 0.5 * a * x / np.cosh(a * x) ** 2)


def gated(gate: Function) -> Function:
    return lambda x, alpha: np.asarray(x * (gate(x) * (1 + 2 * alpha) - alpha))


def gated_slope(gate: Function, slope: Function) -> Function:
    return lambda x, alpha: np.asarray(
        gate(x) * (1 + 2 * alpha) - alpha + (1 + 2 * alpha) * x * slope(x)
    )


def arctan_gate(x: Floats) -> Floats:
    return np.asarray(np.arctan(x) / np.pi + 0.5)


def stages(x: Floats, theta: tuple[float, ...], omega: tuple[float, ...]) -> Floats:
    for scale, shift in zip(theta, omega, strict=True):
        x = scale * np.maximum(0, x) + shift
    return np.maximum(0, x)


# name: settings, f, f'
FORMULAS: dict[str, tuple[dict[str, Any], Function, Function]] = {
    "sigmoid": ({}, sg, lambda x: sg(x) * (1 - sg(x))),
    "tanh": ({}, np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "relu": ({}, lambda x: np.maximum(0, x), lambda x: where(x, 1, 0)),
    "leaky_relu": (
        {"negative_slope": 0.2},
        lambda x: where(x, x, 0.2 * x),
        lambda x: where(x, 1, 0.2),
    ),
    "prelu": ({"slope": 0.3}, lambda x: where(x, x, 0.3 * x), lambda x: where(x, 1, 0.3)),
    "rrelu": ({}, lambda x: where(x, x, 11 / 48 * x), lambda x: where(x, 1, 11 / 48)),
    "relu_squared": ({}, lambda x: np.maximum(0, x) ** 2, lambda x: 2 * np.maximum(0, x)),
    "elu": (
        {"alpha": 0.5},
        lambda x: where(x, x, 0.5 * np.expm1(np.minimum(x, 0))),
        lambda x: where(x, 1, 0.5 * np.exp(np.minimum(x, 0))),
    ),
    "celu": (
        {"alpha": 2.0},
        lambda x: where(x, x, 2 * np.expm1(np.minimum(x, 0) / 2)),
        lambda x: where(x, 1, np.exp(np.minimum(x, 0) / 2)),
    ),
    "selu": (
        {},
        lambda x: LAMBDA * where(x, x, ALPHA * np.expm1(np.minimum(x, 0))),
        lambda x: LAMBDA * where(x, 1, ALPHA * np.exp(np.minimum(x, 0))),
    ),
    "softplus": ({"beta": 0.5}, lambda x: 2 * np.logaddexp(0, x / 2), lambda x: sg(x / 2)),
    "silu": ({}, lambda x: x * sg(x), lambda x: sg(x) + x * sg(x) * (1 - sg(x))),
    "swish": (
        {"beta": 2.0},
        lambda x: x * sg(2 * x),
        lambda x: sg(2 * x) + 2 * x * sg(2 * x) * (1 - sg(2 * x)),
    ),
    "gelu": ({}, lambda x: x * ndtr(x), lambda x: ndtr(x) + x * phi(x)),
    "mish": ({}, mish, mish_slope),
    "hardswish": (
        {},
        lambda x: x * np.clip(x + 3, 0, 6) / 6,
        lambda x: np.where(x < -3, 0, np.where(x > 3, 1, (2 * x + 3) / 6)),
    ),
    "hardtanh": (
        {"min_val": -2.0, "max_val": 1.5},
        lambda x: np.clip(x, -2, 1.5),
        lambda x: np.where((x > -2) & (x < 1.5), 1, 0),
    ),
    "relu6": ({}, lambda x: np.clip(x, 0, 6), lambda x: np.where((x > 0) & (x < 6), 1, 0)),
    "hardsigmoid": (
        {},
        lambda x: np.clip(x + 3, 0, 6) / 6,
        lambda x: np.where(np.abs(x) < 3, float(np.float32(1 / 6)), 0),  # torch: in any precision
    ),
    "ulu": ({"a1": 1.0, "a2": 2.0}, lambda x: ulu(x, 1, 2), lambda x: ulu_slope(x, 1, 2)),
    "aulu": ({"a1": 0.7, "a2": 1.5}, lambda x: ulu(x, 0.7, 1.5), lambda x: ulu_slope(x, 0.7, 1.5)),
    "xielu": (
        {},
        lambda x: where(x, 0.8 * x**2 + x / 2, 0.8 * (np.expm1(np.minimum(x, 0)) - x) + x / 2),
        lambda x: where(x, 1.6 * x + 0.5, 0.8 * np.expm1(np.minimum(x, 0)) + 0.5),
    ),
    "xiprelu": (
        {"negative": 0.6},
        lambda x: where(x, 0.8 * x**2 + x / 2, 0.6 * x**2 + x / 2),
        lambda x: where(x, 1.6 * x + 0.5, 1.2 * x + 0.5),
    ),
    "xsilu": (
        {"alpha": 0.1},
        lambda x: gated(sg)(x, 0.1),
        lambda x: gated_slope(sg, lambda z: sg(z) * (1 - sg(z)))(x, 0.1),
    ),
    "xgelu": (
        {"alpha": 0.1},
        lambda x: gated(ndtr)(x, 0.1),
        lambda x: gated_slope(ndtr, phi)(x, 0.1),
    ),
    "xatlu": (
        {"alpha": 0.1},
        lambda x: gated(arctan_gate)(x, 0.1),
        lambda x: gated_slope(arctan_gate, lambda z: 1 / (np.pi * (1 + z**2)))(x, 0.1),
    ),
    "swim": (
        {},
        lambda x: 0.5 * x * (1 + 0.5 * x / np.sqrt(1 + x**2)),
        lambda x: 0.5 + 0.25 * x * (x**2 + 2) / (1 + x**2) ** 1.5,
    ),
    "taaf": (
        {"alpha": 2.0, "beta": 0.5, "gamma": 0.1, "delta": -0.3},
        lambda x: 2 * np.tanh(0.5 * x + 0.1) - 0.3,
        lambda x: 1 - np.tanh(0.5 * x + 0.1) ** 2,
    ),
    "lslu": ({}, lambda x: np.maximum(0, x), lambda x: where(x, 1, 0)),
    "series": (
        {"scale": 0.7},
        lambda x: 0.7 * np.maximum(0, x),
        lambda x: where(x, 0.7, 0),
    ),
    "ensemble": (
        {"others": "tanh+silu", "first": 0.5, "rest": 0.25},
        lambda x: 0.5 * np.maximum(0, x) + 0.25 * np.tanh(x) + 0.25 * x * sg(x),
        lambda x: where(x, 0.5, 0) + 0.25 * (1 - np.tanh(x) ** 2 + sg(x) + x * sg(x) * (1 - sg(x))),
    ),
    "polynomial": (
        {},
        lambda x: 0.1496 + 0.5 * x + 0.2992 * x**2 - 0.0166 * x**4,
        lambda x: 0.5 + 0.5984 * x - 0.0664 * x**3,
    ),
}

NODES = (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0)
# name, settings, values at the nodes, slopes at -1 and 1: computed in float64 beforehand
VECTORS: tuple[tuple[str, dict[str, Any], tuple[float, ...], tuple[float, float]], ...] = (
    (
        "softplus",
        {},
        (0.126928, 0.313262, 0.474077, 0.974077, 1.313262, 2.126928),
        (0.268941, 0.731059),
    ),
    (
        "selu",
        {},
        (-1.520166, -1.111331, -0.691758, 0.525350, 1.050701, 2.101402),
        (0.646769, 1.050701),
    ),
    (
        "silu",
        {},
        (-0.238406, -0.268941, -0.188770, 0.311230, 0.731059, 1.761594),
        (0.072329, 0.927671),
    ),
    (
        "aulu",
        {},
        (-0.238406, -0.268941, -0.188770, 0.311230, 0.731059, 1.761594),
        (0.072329, 0.927671),
    ),
    (
        "gelu",
        {},
        (-0.045500, -0.158655, -0.154269, 0.345731, 0.841345, 1.954500),
        (-0.083315, 1.083315),
    ),
    (
        "mish",
        {},
        (-0.252501, -0.303401, -0.220744, 0.375245, 0.865098, 1.943959),
        (0.059217, 1.049036),
    ),
    (
        "ulu",
        {"a2": 2.0},
        (-0.035972, -0.119203, -0.134471, 0.440399, 0.982014, 1.999329),
        (-0.090784, 1.052665),
    ),
    (
        "xielu",
        {},
        (-0.091732, -0.205696, -0.164775, 0.450000, 1.300000, 4.200000),
        (-0.005696, 2.100000),
    ),
    ("xiprelu", {}, (2.2, 0.3, -0.05, 0.45, 1.3, 4.2), (-1.1, 2.1)),
    (
        "xsilu",
        {"alpha": 0.1},
        (-0.086087, -0.222730, -0.176524, 0.323476, 0.777270, 1.913913),
        (-0.013205, 1.013205),
    ),
    (
        "xgelu",
        {"alpha": 0.1},
        (0.145400, -0.090386, -0.135123, 0.364877, 0.909614, 2.145400),
        (-0.199979, 1.199979),
    ),
    (
        "xatlu",
        {},
        (-0.295167, -0.250000, -0.176208, 0.323792, 0.750000, 1.704833),
        (0.090845, 0.909155),
    ),
    (
        "xatlu",
        {"alpha": 0.1},
        (-0.154201, -0.200000, -0.161450, 0.338550, 0.800000, 1.845799),
        (0.009014, 0.990986),
    ),
    (
        "swim",
        {},
        (-0.552786, -0.323223, -0.194098, 0.305902, 0.676777, 1.447214),
        (0.234835, 0.765165),
    ),
    (
        "taaf",
        {"alpha": 2.0, "beta": 0.5, "gamma": 0.1, "delta": -0.3},
        (-1.732596, -1.059898, -0.597770, 0.372751, 0.774099, 1.300998),
        (0.855639, 0.711578),
    ),
)

# mean, mean square, mean square of the slope, slope of the map of scales; N(0, 1)
MOMENTS: dict[str, tuple[float, float, float, float]] = {
    "sigmoid": (0.5, 0.2934, 0.0448, 0.11),
    "tanh": (0.0, 0.3943, 0.4644, 0.46),
    "relu": (0.399, 0.5, 0.5, 1.0),
    "rrelu": (0.308, 0.5263, 0.5263, 1.0),
    "elu": (0.161, 0.645, 0.668, 0.89),
    "selu": (0.0, 1.0, 1.072, 0.78),
    "softplus": (0.806, 0.921, 0.293, 0.49),
    "silu": (0.207, 0.356, 0.380, 1.17),
    "gelu": (0.282, 0.425, 0.456, 1.14),
    "mish": (0.240, 0.452, 0.479, 1.08),
    "ulu": (0.303, 0.440, 0.466, 1.12),
    "xielu": (0.528, 1.736, 2.070, 1.73),
    "xiprelu": (0.800, 2.170, 2.810, 1.88),
    "xatlu": (0.209, 0.347, 0.362, 1.12),
    "relu_squared": (0.5, 1.5, 2.0, 2.0),
    "maxout": (0.564, 1.0, 1.0, 1.0),
    "swim": (0.141, 0.291, 0.296, 1.04),
    "pann": (0.398, 0.4999, 0.5061, 1.0),
}
GAINS = {
    "sigmoid": 1.846,
    "tanh": 1.593,
    "relu": 1.414,
    "rrelu": 1.379,
    "elu": 1.245,
    "selu": 1.0,
    "softplus": 1.042,
    "silu": 1.677,
    "gelu": 1.534,
    "mish": 1.487,
    "ulu": 1.509,
    "xielu": 0.759,
    "xiprelu": 0.679,
    "xatlu": 1.698,
    "relu_squared": 0.8165,
    "swiglu": 1.677,
    "maxout": 1.0,
    "swim": 1.854,
    "pann": 1.414,
}
