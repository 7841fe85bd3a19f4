"""Products with unpatched weights, by the faster of the two libraries that torch brings.

torch's plain products run on MKL, which takes slower code on processors of other makers: for 256
units of 64 features on AMD it reaches 110 of oneDNN's 240 GFLOP/s with AVX-512, and 75 of 95 with
AVX2. torch's own LSTM, which the candidates compete with, runs on oneDNN. Its products with many
features fall back to those 75 once their rows have just been written, its convolutions do not: over
one position they are the same products.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

FEATURES = range(32, 192)  # fewer do not pay oneDNN's setup
CONVOLVED = range(192, 4096)  # weights of more features leave the cache
_FEWEST = 16  # units for which a convolution pays


def linear(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``rows @ weight.T + bias``, ``(..., units)``.

    Args:
        rows: ``(..., features)``.
        weight: ``(units, features)``.
        bias: ``(units,)``.
    """
    units, features = weight.shape
    if not _by_onednn(rows, weight):
        return F.linear(rows, weight, bias)
    if features in FEATURES:
        out: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")  # noqa: SLF001
        return out
    if features not in CONVOLVED or units < _FEWEST:
        return F.linear(rows, weight, bias)
    return _convolved(rows.reshape(-1, features), weight, bias).view(*rows.shape[:-1], units)


def product(weight: Tensor, columns: Tensor) -> Tensor:
    """Return ``weight @ columns``, units first: ``(units, m)``.

    Args:
        weight: ``(units, features)``.
        columns: ``(features, m)``.
    """
    if weight.shape[1] not in FEATURES or not _by_onednn(columns.t(), weight):
        return weight @ columns
    # A linear layer whose rows are the units and whose weights are the columns.
    return linear(weight, columns.t())


def _convolved(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return the linear layer as a convolution: rows are the pixels of one image, channels last."""
    image = rows.view(1, 1, *rows.shape).permute(0, 3, 1, 2)  # (1, features, 1, m)
    kernel = weight[:, :, None, None]
    out: Tensor = torch.ops.mkldnn._convolution_pointwise(  # noqa: SLF001
        image, kernel, bias, [0, 0], [1, 1], [1, 1], 1, "none", [], ""
    )
    return out.permute(0, 2, 3, 1)[0, 0]


def _by_onednn(rows: Tensor, weight: Tensor) -> bool:
    """Tell whether oneDNN knows these values; compilers know the plain product better."""
    return (
        weight.dtype == rows.dtype == torch.float32
        and weight.device.type == "cpu"
        and rows.numel() > 0
        and bool(torch.backends.mkldnn.enabled)
        and torch.backends.mkldnn.is_available()
        and not torch.compiler.is_compiling()
    )
