"""Orthogonal weights, and weights that are zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn

from dnnrepair.initializers.initializer import Initializer, initializer

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.initializers.fans import Fans


@initializer("orthogonal")
@dataclass(frozen=True, kw_only=True)
class Orthogonal(Initializer):
    """Keeps lengths: for recurrent weights and for deep linear and tanh networks.

    Every gate, group and projection is orthogonal by itself; rows where they are fewer, else
    columns. Kernels are flattened to (out, in k k).
    Source: Saxe, McClelland and Ganguli 2013, arXiv:1312.6120.
    """

    formula: ClassVar[str] = "gain Q, Q with orthonormal rows or columns"

    def draw(self, weight: Tensor, fans: Fans, gain: float, rng: torch.Generator) -> None:
        """Fill one block in place."""
        target = weight.transpose(0, 1) if fans.inputs_first else weight
        square = torch.empty(target.shape, dtype=_precise(weight.dtype), device=weight.device)
        target.copy_(nn.init.orthogonal_(square, gain, generator=rng))


@initializer("zero")
@dataclass(frozen=True, kw_only=True)
class Zero(Initializer):
    """All zero: for the last layer of a residual branch only, which then starts as the identity.

    Set the last affine layer's weight and bias, or the last BatchNorm's weight, of each branch to
    zero. Anywhere else the units of a layer stay equal for ever.
    Source: Goyal et al. 2017, arXiv:1706.02677, section 5.1; Zhang et al. 2019, arXiv:1901.09321.
    """

    formula: ClassVar[str] = "0"

    def draw(self, weight: Tensor, fans: Fans, gain: float, rng: torch.Generator) -> None:  # noqa: ARG002
        """Fill one block with zeros."""
        nn.init.zeros_(weight)


def _precise(dtype: torch.dtype) -> torch.dtype:
    """Return a type in which torch decomposes matrices."""
    return dtype if dtype in (torch.float32, torch.float64) else torch.float32
