"""Smooth relatives of ReLU that torch.nn has: Softplus, GELU, Mish, Hardswish."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.activations.activation import Activation, activation


@activation("softplus")
@dataclass(frozen=True, kw_only=True)
class Softplus(Activation):
    """A smooth ReLU, for outputs that must be positive.

    In deep stacks gradients fade under any initializer (chi = 0.32). Linear where b x > 20, as in
    torch.
    """

    formula: ClassVar[str] = "log(1 + exp(b x)) / b"
    reference: ClassVar[str] = "Dugas et al. 2001"
    kind: ClassVar[type[nn.Module]] = nn.Softplus
    compute = staticmethod(F.softplus)
    beta: float = 1.0  # b, above 0, in [0.001, inf]


def gelu(x: Tensor, approximate: str) -> Tensor:
    """Return ``x Phi(x)``."""
    return F.gelu(x, approximate=approximate)


@activation("gelu")
@dataclass(frozen=True, kw_only=True)
class GELU(Activation):
    """The usual choice of transformers: x times the probability that a normal value is below it."""

    formula: ClassVar[str] = "x Phi(x)"
    reference: ClassVar[str] = "Hendrycks and Gimpel 2016, arXiv:1606.08415"
    kind: ClassVar[type[nn.Module]] = nn.GELU
    compute = staticmethod(gelu)
    approximate: str = "none"  # "tanh" for the form that differs by less than 4.8e-4


@activation("mish")
@dataclass(frozen=True, kw_only=True)
class Mish(Activation):
    """A self-gated, smooth and non-monotone activation, used in detection networks."""

    formula: ClassVar[str] = "x tanh(log(1 + exp(x)))"
    reference: ClassVar[str] = "Misra 2019, arXiv:1908.08681"
    kind: ClassVar[type[nn.Module]] = nn.Mish
    compute = staticmethod(F.mish)


@activation("hardswish")
@dataclass(frozen=True, kw_only=True)
class Hardswish(Activation):
    """SiLU in pieces without exponentials, for small devices; exactly 0 below -3."""

    formula: ClassVar[str] = "x min(max(x + 3, 0), 6) / 6"
    reference: ClassVar[str] = "Howard et al. 2019 (MobileNetV3), arXiv:1905.02244"
    kind: ClassVar[type[nn.Module]] = nn.Hardswish
    compute = staticmethod(F.hardswish)
