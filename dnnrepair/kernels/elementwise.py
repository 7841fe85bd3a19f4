"""Activations on the device. Importing this module imports Triton."""

# mypy: ignore-errors
# pyright: reportGeneralTypeIssues=false, reportMissingImports=false
# ruff: noqa: ANN001, ANN201, PLR0911, RET505
# Triton reads this source: it is Python by its syntax only, and untyped.

from __future__ import annotations

import triton
from triton import language as tl


@triton.jit
def sigmoid(x):
    """Return 1 / (1 + exp(-x)) without overflow."""
    e = tl.exp(-tl.abs(x))
    return tl.where(x < 0, e, 1.0) / (1.0 + e)


@triton.jit
def tanh(x):
    """Return the hyperbolic tangent to about 1e-7, absolute."""
    e = tl.exp(-2.0 * tl.abs(x))
    t = (1.0 - e) / (1.0 + e)
    return tl.where(x < 0, -t, t)


@triton.jit
def activate(x, slope, name: tl.constexpr):
    """Apply an activation by its name in ``tasks.ACTIVATIONS``."""
    if name == "relu":
        return tl.where(x < 0, 0.0, x)  # NaN stays NaN
    elif name == "leaky_relu":
        return tl.where(x < 0, x * slope, x)
    elif name == "tanh":
        return tanh(x)
    elif name == "sigmoid":
        return sigmoid(x)
    elif name == "gelu":
        return 0.5 * x * (1.0 + tl.erf(x * 0.7071067811865476))
    elif name == "gelu_tanh":
        inner = 0.7978845608028654 * (x + 0.044715 * x * x * x)
        return 0.5 * x * (1.0 + tanh(inner))
    elif name == "silu":
        return x * sigmoid(x)
    elif name == "elu":
        return tl.where(x < 0, slope * (tl.exp(tl.where(x < 0, x, 0.0)) - 1.0), x)
    else:
        return x
