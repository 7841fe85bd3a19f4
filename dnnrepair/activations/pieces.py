"""Activations of several pre-activations for each output: Maxout and SwiGLU."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.activations.activation import Activation, activation
from dnnrepair.activations.grafts import Graft
from dnnrepair.activations.moments import FARTHEST, POINTS, Moments
from dnnrepair.activations.rectifiers import slope_below
from dnnrepair.activations.swish import SiLU, sharpness

if TYPE_CHECKING:
    from typing import Self


def maxout(x: Tensor, pieces: int) -> Tensor:
    """Return ``(N, C, ...)``: the largest of k = ``pieces`` blocks of ``(N, k C, ...)``."""
    largest: Tensor = x.unflatten(1, (pieces, -1)).amax(dim=1)
    return largest


def swiglu(x: Tensor) -> Tensor:
    """Return ``silu(first half) * second half`` of dimension 1: ``(N, C, ...)``."""
    gate, value = x.chunk(2, dim=1)
    return F.silu(gate) * value


class Maxout(nn.Module):
    """The largest of k pre-activations for each unit (Goodfellow et al. 2013, arXiv:1302.4389)."""

    def __init__(self, pieces: int = 2) -> None:
        """Take k = ``pieces`` blocks of channels on dimension 1."""
        super().__init__()
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, C, ...)`` from ``(N, k C, ...)``."""
        return maxout(x, self.pieces)


class SwiGLU(nn.Module):
    """``silu(W x) * V x``, both halves of dimension 1 (Shazeer 2020, arXiv:2002.05202)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, C, ...)`` from ``(N, 2 C, ...)``."""
        return swiglu(x)


@activation("maxout")
@dataclass(frozen=True, kw_only=True)
class MaxoutActivation(Activation):
    """The largest of k linear pieces: learns its own convex shape, for k times the weights.

    Takes k blocks of channels along dimension 1. The gradient goes to the winning piece only, but
    never to none: no unit dies.
    """

    formula: ClassVar[str] = "max of W_i x + b_i over i = 1..k"
    reference: ClassVar[str] = "Goodfellow et al. 2013, arXiv:1302.4389"
    kind: ClassVar[type[nn.Module]] = Maxout
    parts = (maxout, Maxout)
    compute = staticmethod(maxout)
    pieces: int = 2  # k, at least 2

    @property
    def inputs(self) -> int:
        """The number of pieces."""
        return self.pieces

    @cached_property
    def moments(self) -> Moments:
        """Of the largest of k independent normal values, each piece with weights of its own."""
        step = 2 * FARTHEST / POINTS
        z = -FARTHEST + step * (torch.arange(POINTS, dtype=torch.float64) + 0.5)
        density = torch.exp(-z.square() / 2) / (2 * torch.pi) ** 0.5
        weights = step * self.pieces * torch.special.ndtr(z) ** (self.pieces - 1) * density
        return Moments(float(weights @ z), float(weights @ z.square()), 1.0, 1.0)

    @classmethod
    def imitating(cls: type[Self], old: Activation) -> Graft | None:
        """Take the place of ReLU and of leaky ones: max(z, a z), for a in [0, 1]."""
        slope = slope_below(old)
        if slope is None or not 0 <= slope <= 1:
            return None
        return Graft(activation=cls(pieces=2), pieces=((1.0, 0.0), (slope, 0.0)))


@activation("swiglu")
@dataclass(frozen=True, kw_only=True)
class SwiGLUActivation(Activation):
    """A SiLU gate times a linear value: the feed-forward layer of many language models.

    Takes the gate's and the value's channels as two blocks of dimension 1. Two thirds of the width
    keep the number of weights. The gain is that of the layer that reads it; the two layers before
    it have gain 1. The exact graft needs a bias on the value.
    """

    formula: ClassVar[str] = "silu(W x) * (V x)"
    reference: ClassVar[str] = "Shazeer 2020, arXiv:2002.05202"
    kind: ClassVar[type[nn.Module]] = SwiGLU
    parts = (swiglu, SwiGLU)
    compute = staticmethod(swiglu)

    @property
    def inputs(self) -> int:
        """Gate and value."""
        return 2

    @cached_property
    def moments(self) -> Moments:
        """Of the product with an independent normal value.

        The slopes are those with respect to both: E (f'(g) v)^2 + E f(g)^2.
        """
        gate = SiLU().moments
        slopes = gate.slope_square + gate.square
        return Moments(0.0, gate.square, slopes, gate.scale_slope + 1)

    @classmethod
    def imitating(cls: type[Self], old: Activation) -> Graft | None:
        """Take the place of whatever is SiLU, with the value 1."""
        if sharpness(old) != 1:
            return None
        return Graft(activation=cls(), pieces=((1.0, 0.0), (0.0, 1.0)))
