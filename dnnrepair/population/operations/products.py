"""Products with unpatched weights, by the faster of the two libraries that torch brings.

torch's plain products run on MKL, which takes slower code on processors of other makers: for 256
units of 64 features on AMD it reaches 110 of oneDNN's 240 GFLOP/s with AVX-512, and 75 of 95 with
AVX2. torch's own LSTM, which the candidates compete with, runs on oneDNN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

FEATURES = range(32, 192)  # fewer do not pay oneDNN's setup; for more, neither is much faster


def linear(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``rows @ weight.T + bias``, ``(..., units)``.

    Args:
        rows: ``(..., features)``.
        weight: ``(units, features)``.
        bias: ``(units,)``.
    """
    if not _by_onednn(rows, weight):
        return F.linear(rows, weight, bias)
    out: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")  # noqa: SLF001
    return out


def product(weight: Tensor, columns: Tensor) -> Tensor:
    """Return ``weight @ columns``, units first: ``(units, m)``.

    Args:
        weight: ``(units, features)``.
        columns: ``(features, m)``.
    """
    if not _by_onednn(columns.t(), weight):
        return weight @ columns
    # A linear layer whose rows are the units and whose weights are the columns.
    return linear(weight, columns.t())


def _by_onednn(rows: Tensor, weight: Tensor) -> bool:
    """Tell whether oneDNN knows this product and pays; compilers know the plain one better."""
    return (
        weight.shape[-1] in FEATURES
        and weight.dtype == rows.dtype == torch.float32
        and weight.device.type == "cpu"
        and rows.numel() > 0
        and bool(torch.backends.mkldnn.enabled)
        and torch.backends.mkldnn.is_available()
        and not torch.compiler.is_compiling()
    )
