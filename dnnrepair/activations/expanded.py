"""Gates that may leave [0, 1]: xSiLU, xGELU and xATLU."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from dnnrepair.activations.activation import Activation, activation
from dnnrepair.activations.grafts import Graft
from dnnrepair.activations.per_channel import per_channel
from dnnrepair.activations.smooth import GELU
from dnnrepair.activations.swish import sharpness

if TYPE_CHECKING:
    from typing import Self


def expanded(x: Tensor, gate: Tensor, alpha: Tensor) -> Tensor:
    """Return x times a gate that is stretched from [0, 1] to [-alpha, 1 + alpha]."""
    return x * (gate * (1 + 2 * alpha) - alpha)


def arctan_gate(x: Tensor) -> Tensor:
    """Return ``arctan(x) / pi + 1/2``, in [0, 1]."""
    return torch.atan(x) / math.pi + 0.5


def xsilu(x: Tensor, alpha: Tensor) -> Tensor:
    """Return x with the stretched gate ``sigmoid(x)``."""
    return expanded(x, torch.sigmoid(x), alpha)


def xgelu(x: Tensor, alpha: Tensor) -> Tensor:
    """Return x with the stretched gate ``Phi(x)``."""
    return expanded(x, torch.special.ndtr(x), alpha)


def xatlu(x: Tensor, alpha: Tensor) -> Tensor:
    """Return x with the stretched gate ``arctan(x) / pi + 1/2``."""
    return expanded(x, arctan_gate(x), alpha)


class Expanded(nn.Module):
    """x times a gate of learned range (Huang 2024, arXiv:2405.20768)."""

    def __init__(
        self, channels: int = 1, alpha: float = 0.0, dtype: torch.dtype | None = None
    ) -> None:
        """Start with ``alpha``, above -1/2."""
        super().__init__()
        self.alpha = nn.Parameter(torch.full((channels,), alpha, dtype=dtype))

    def gate(self, x: Tensor) -> Tensor:
        """Return the gate before it is stretched, in the shape of ``x``; here always open."""
        return torch.ones_like(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return values in the shape of ``x``."""
        return expanded(x, self.gate(x), per_channel(self.alpha, x))


class XSiLU(Expanded):
    """SiLU with a learned range of its gate."""

    def gate(self, x: Tensor) -> Tensor:
        """Return ``sigmoid(x)``."""
        return torch.sigmoid(x)


class XGELU(Expanded):
    """GELU with a learned range of its gate."""

    def gate(self, x: Tensor) -> Tensor:
        """Return ``Phi(x)``."""
        found: Tensor = torch.special.ndtr(x)
        return found


class XATLU(Expanded):
    """x with an arctan gate of learned range."""

    def gate(self, x: Tensor) -> Tensor:
        """Return ``arctan(x) / pi + 1/2``."""
        return arctan_gate(x)


@activation("xsilu")
@dataclass(frozen=True, kw_only=True)
class Xsilu(Activation):
    """SiLU whose gate may leave [0, 1] by a learned amount.

    Unconfirmed: the start at 0, from third-party code; the paper's body was not read.
    """

    formula: ClassVar[str] = "x (sigmoid(x) (1 + 2a) - a), a learned"
    reference: ClassVar[str] = "Huang 2024, arXiv:2405.20768"
    learnable: ClassVar[tuple[str, ...]] = ("alpha",)
    kind: ClassVar[type[nn.Module]] = XSiLU
    parts = (per_channel, expanded, Expanded, XSiLU)
    compute = staticmethod(xsilu)
    alpha: float = 0.0  # a at the start, in [-0.5, inf]

    @classmethod
    def imitating(cls: type[Self], old: Activation) -> Graft | None:
        """Take the place of whatever is SiLU."""
        return Graft(activation=cls(alpha=0.0)) if sharpness(old) == 1 else None


@activation("xgelu")
@dataclass(frozen=True, kw_only=True)
class Xgelu(Activation):
    """GELU whose gate may leave [0, 1] by a learned amount.

    Unconfirmed: the start at 0, from third-party code; the paper's body was not read.
    """

    formula: ClassVar[str] = "x (Phi(x) (1 + 2a) - a), a learned"
    reference: ClassVar[str] = "Huang 2024, arXiv:2405.20768"
    learnable: ClassVar[tuple[str, ...]] = ("alpha",)
    kind: ClassVar[type[nn.Module]] = XGELU
    parts = (per_channel, expanded, Expanded, XGELU)
    compute = staticmethod(xgelu)
    alpha: float = 0.0  # a at the start, in [-0.5, inf]

    @classmethod
    def imitating(cls: type[Self], old: Activation) -> Graft | None:
        """Take the place of GELU."""
        return Graft(activation=cls(alpha=0.0)) if old == GELU() else None


@activation("xatlu")
@dataclass(frozen=True, kw_only=True)
class Xatlu(Activation):
    """x with an arctan gate that may leave [0, 1] by a learned amount; slopes monotone at a = 0.

    Unconfirmed: the start at 0, from third-party code; the paper's body was not read.
    """

    formula: ClassVar[str] = "x ((arctan(x) / pi + 1/2) (1 + 2a) - a), a learned"
    reference: ClassVar[str] = "Huang 2024, arXiv:2405.20768"
    learnable: ClassVar[tuple[str, ...]] = ("alpha",)
    kind: ClassVar[type[nn.Module]] = XATLU
    parts = (per_channel, expanded, arctan_gate, Expanded, XATLU)
    compute = staticmethod(xatlu)
    alpha: float = 0.0  # a at the start, in [-0.5, inf]
