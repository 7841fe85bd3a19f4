"""SiLU, and Swish with a learned sharpness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.activations.activation import Activation, activation
from dnnrepair.activations.grafts import Graft
from dnnrepair.activations.per_channel import per_channel

if TYPE_CHECKING:
    from typing import Self


def swish(x: Tensor, beta: Tensor) -> Tensor:
    """Return ``x sigmoid(beta x)``."""
    return x * torch.sigmoid(beta * x)


class Swish(nn.Module):
    """``x sigmoid(beta x)`` with learned beta (Ramachandran et al. 2017, arXiv:1710.05941)."""

    def __init__(
        self, channels: int = 1, beta: float = 1.0, dtype: torch.dtype | None = None
    ) -> None:
        """Start with ``beta`` everywhere; one for each of ``channels`` on dimension 1, if not 1."""
        super().__init__()
        self.beta = nn.Parameter(torch.full((channels,), beta, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Return values in the shape of ``x``."""
        return swish(x, per_channel(self.beta, x))


@activation("silu")
@dataclass(frozen=True, kw_only=True)
class SiLU(Activation):
    """Swish with beta 1: smooth, non-monotone, common in vision and language models.

    Errors of scale grow slowly from layer to layer (s = 1.17); deep stacks want a normalization.
    """

    formula: ClassVar[str] = "x sigmoid(x)"
    reference: ClassVar[str] = "Elfwing, Uchibe and Doya 2017, arXiv:1702.03118"
    kind: ClassVar[type[nn.Module]] = nn.SiLU
    compute = staticmethod(F.silu)

    @classmethod
    def imitating(cls: type[Self], old: Activation) -> Graft | None:
        """Take the place of whatever is Swish with beta 1."""
        return Graft(activation=cls()) if sharpness(old) == 1 else None


@activation("swish")
@dataclass(frozen=True, kw_only=True)
class SwishActivation(Activation):
    """SiLU that learns how sharp it is: beta 0 halves x, a large beta gives ReLU.

    The sup distance from ReLU is 0.2785 / beta, the slope stays below 1.1. Where beta is large its
    gradient is gone: start at 10 or less.
    """

    formula: ClassVar[str] = "x sigmoid(b x), b learned"
    reference: ClassVar[str] = "Ramachandran, Zoph and Le 2017, arXiv:1710.05941"
    learnable: ClassVar[tuple[str, ...]] = ("beta",)
    kind: ClassVar[type[nn.Module]] = Swish
    parts = (per_channel, swish, Swish)
    compute = staticmethod(swish)
    beta: float = 1.0  # b at the start, at least 0

    @classmethod
    def imitating(cls: type[Self], old: Activation) -> Graft | None:
        """Take the place of SiLU, and of what is Swish under another name."""
        beta = sharpness(old)
        return None if beta is None else Graft(activation=cls(beta=beta))


def sharpness(old: Activation) -> float | None:
    """Return beta of an activation that is ``x sigmoid(beta x)``, None for any other."""
    if isinstance(old, SiLU):
        return 1.0
    if isinstance(old, SwishActivation):
        return old.beta
    below, above = old.settings.get("a1"), old.settings.get("a2")
    if old.name in ("ulu", "aulu") and below == above:
        return 2 * float(below or 0.0)
    if old.name == "xsilu" and old.settings["alpha"] == 0:
        return 1.0
    return None
