"""Activations whose slope is integrated from a learned one: xIELU and xIPReLU."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.activations.activation import Activation, activation
from dnnrepair.activations.per_channel import per_channel


def xielu(x: Tensor, positive: Tensor, negative: Tensor, beta: float) -> Tensor:
    """Return ``P x^2 + beta x`` above 0 and ``N (exp(x) - 1 - x) + beta x`` below."""
    above, below = x.clamp(min=0), x.clamp(max=0)
    return positive * above.square() + negative * (torch.expm1(below) - below) + beta * x


def xiprelu(x: Tensor, positive: Tensor, negative: Tensor, beta: float) -> Tensor:
    """Return ``P x^2 + beta x`` above 0 and ``N x^2 + beta x`` below."""
    above, below = x.clamp(min=0), x.clamp(max=0)
    return positive * above.square() + negative * below.square() + beta * x


def inverse_softplus(value: float) -> float:
    """Return x with ``log(1 + exp(x)) = value``, which is above 0."""
    return value + math.log(-math.expm1(-value))


class XIELU(nn.Module):
    """xIELU with learned P and N (Huang and Schlag 2024, arXiv:2411.13010)."""

    def __init__(
        self,
        channels: int = 1,
        positive: float = 0.8,
        negative: float = 0.8,
        beta: float = 0.5,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Start with P = ``positive`` above 0 and N = ``negative`` above ``beta``."""
        super().__init__()
        self.beta = beta
        raw_p, raw_n = inverse_softplus(positive), inverse_softplus(negative - beta)
        self.p = nn.Parameter(torch.full((channels,), raw_p, dtype=dtype))
        self.n = nn.Parameter(torch.full((channels,), raw_n, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Return values in the shape of ``x``."""
        positive = per_channel(F.softplus(self.p), x)
        return xielu(x, positive, self.beta + per_channel(F.softplus(self.n), x), self.beta)


class XIPReLU(nn.Module):
    """xIPReLU with learned P and N (Huang and Schlag 2024, arXiv:2411.13010)."""

    def __init__(
        self,
        channels: int = 1,
        positive: float = 0.8,
        negative: float = 0.8,
        beta: float = 0.5,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Start with P = ``positive`` and N = ``negative``, both above 0."""
        super().__init__()
        self.beta = beta
        self.p = nn.Parameter(torch.full((channels,), inverse_softplus(positive), dtype=dtype))
        self.n = nn.Parameter(torch.full((channels,), inverse_softplus(negative), dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Return values in the shape of ``x``."""
        positive = per_channel(F.softplus(self.p), x)
        return xiprelu(x, positive, per_channel(F.softplus(self.n), x), self.beta)


@activation("xielu")
@dataclass(frozen=True, kw_only=True)
class Xielu(Activation):
    """Its slope is linear above 0 and an ELU's below, both learned; for large language models.

    Slopes are unbounded and errors of scale grow (s = 1.73): use it behind a normalization. For
    very negative x it rises again, with slope beta - N. In float16 it overflows above x = 285. Near
    beta = 1, P = 0, N = 1 it is ELU. No claim is made for small networks.
    """

    formula: ClassVar[str] = "P x^2 + b x if x > 0 else N (exp(x) - 1) - N x + b x; P, N learned"
    reference: ClassVar[str] = "Huang and Schlag 2024, arXiv:2411.13010, and their code"
    learnable: ClassVar[tuple[str, ...]] = ("positive", "negative")
    kind: ClassVar[type[nn.Module]] = XIELU
    parts = (per_channel, inverse_softplus, xielu, XIELU)
    compute = staticmethod(xielu)
    positive: float = 0.8  # P at the start, in [1e-17, inf]
    negative: float = 0.8  # N at the start, above beta
    beta: float = 0.5  # b, fixed, above 0


@activation("xiprelu")
@dataclass(frozen=True, kw_only=True)
class Xiprelu(Activation):
    """Its slope is a PReLU's: quadratic on both sides, both learned.

    Slopes are unbounded and errors of scale grow (s = 1.88): use it behind a normalization. In
    float16 it overflows beyond 285 on both sides.
    """

    formula: ClassVar[str] = "P x^2 + b x if x > 0 else N x^2 + b x; P and N learned"
    reference: ClassVar[str] = "Huang and Schlag 2024, arXiv:2411.13010, and their code"
    learnable: ClassVar[tuple[str, ...]] = ("positive", "negative")
    kind: ClassVar[type[nn.Module]] = XIPReLU
    parts = (per_channel, inverse_softplus, xiprelu, XIPReLU)
    compute = staticmethod(xiprelu)
    positive: float = 0.8  # P at the start, in [1e-17, inf]
    negative: float = 0.8  # N at the start, in [1e-17, inf]
    beta: float = 0.5  # b, fixed
