"""ULU and AULU: Swish with one sharpness below 0 and another above."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from dnnrepair.activations.activation import Activation, activation
from dnnrepair.activations.grafts import Graft
from dnnrepair.activations.per_channel import per_channel
from dnnrepair.activations.swish import sharpness

if TYPE_CHECKING:
    from typing import Self


def ulu(x: Tensor, a1: Tensor, a2: Tensor) -> Tensor:
    """Return ``x sigmoid(2 a x)``, a = a1 below 0 and a2 above."""
    return x * torch.sigmoid(2 * torch.where(x < 0, a1, a2) * x)


class ULU(nn.Module):
    """``x (tanh(a x) + 1) / 2``, a = a1 below 0 and a2 above (Huo 2025, arXiv:2508.05073)."""

    def __init__(self, a1: float = 1.0, a2: float = 1.0, dtype: torch.dtype | None = None) -> None:
        """Keep both as buffers."""
        super().__init__()
        self.a1 = nn.Buffer(torch.tensor(a1, dtype=dtype))
        self.a2 = nn.Buffer(torch.tensor(a2, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Return values in the shape of ``x``."""
        return ulu(x, self.a1, self.a2)


class AULU(nn.Module):
    """ULU with learned a1 = b1^2 and a2 = b2^2 (Huo 2025, arXiv:2508.05073)."""

    def __init__(
        self,
        channels: int = 1,
        a1: float = 0.5,
        a2: float = 0.5,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Start with ``a1`` and ``a2``, above 0; one pair for each channel on dimension 1."""
        super().__init__()
        self.b1 = nn.Parameter(torch.full((channels,), math.sqrt(a1), dtype=dtype))
        self.b2 = nn.Parameter(torch.full((channels,), math.sqrt(a2), dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Return values in the shape of ``x``."""
        b1, b2 = per_channel(self.b1, x), per_channel(self.b2, x)
        return ulu(x, b1.square(), b2.square())


@activation("ulu")
@dataclass(frozen=True, kw_only=True)
class UluActivation(Activation):
    """Swish with one sharpness below 0 and another above.

    Its slope is continuous, 1/2 at 0 for any a; its curvature jumps there. Unconfirmed: the paper's
    own values of a1 and a2, which its abstract does not give; 1 and 1 are ours.
    """

    formula: ClassVar[str] = "x (tanh(a x) + 1) / 2 = x sigmoid(2 a x), a = a1 if x < 0 else a2"
    reference: ClassVar[str] = "Huo 2025, arXiv:2508.05073 (abstract)"
    kind: ClassVar[type[nn.Module]] = ULU
    parts = (ulu, ULU)
    a1: float = 1.0  # below 0, above 0, in [0.001, inf]
    a2: float = 1.0  # above 0, above 0, in [0.001, inf]

    @staticmethod
    def compute(x: Tensor, a1: float | Tensor, a2: float | Tensor) -> Tensor:
        """Return values in the shape of ``x``."""
        return ulu(x, torch.as_tensor(a1).to(x), torch.as_tensor(a2).to(x))

    @classmethod
    def imitating(cls: type[Self], old: Activation) -> Graft | None:
        """Take the place of Swish, and of AULU."""
        return _pair(cls, old)


@activation("aulu")
@dataclass(frozen=True, kw_only=True)
class AuluActivation(Activation):
    """ULU that learns both of its sharpnesses.

    Report what it learned (a1, a2 and log(a2 / a1)): above 0 the upper side has become the
    sharper one. The paper's LIB, a measure made of these, is unconfirmed: its formula is not in the
    abstract, so no number of that name is given. Unconfirmed, too: where training starts (here
    SiLU), and whether layers or channels have parameters of their own (here as you choose). b = 0
    has no gradient: never start there, nor above a = 5.
    """

    formula: ClassVar[str] = "ULU with a1 = b1^2 and a2 = b2^2, b1 and b2 learned"
    reference: ClassVar[str] = "Huo 2025, arXiv:2508.05073 (abstract)"
    learnable: ClassVar[tuple[str, ...]] = ("a1", "a2")
    kind: ClassVar[type[nn.Module]] = AULU
    parts = (per_channel, ulu, AULU)
    compute = staticmethod(ulu)
    a1: float = 0.5  # below 0, at the start, above 0, in [0.001, inf]
    a2: float = 0.5  # above 0, at the start, above 0, in [0.001, inf]

    @classmethod
    def imitating(cls: type[Self], old: Activation) -> Graft | None:
        """Take the place of Swish, and of ULU."""
        return _pair(cls, old)


def _pair(kind: type[UluActivation | AuluActivation], old: Activation) -> Graft | None:
    if isinstance(old, UluActivation | AuluActivation):
        return Graft(activation=kind(a1=old.a1, a2=old.a2))
    beta = sharpness(old)
    return Graft(activation=kind(a1=beta / 2, a2=beta / 2)) if beta else None


def sharpnesses(module: nn.Module) -> dict[str, float]:
    """Return a1, a2 and log(a2 / a1) that an AULU has learned, means over its channels."""
    a1 = float(module.get_parameter("b1").detach().double().square().mean())
    a2 = float(module.get_parameter("b2").detach().double().square().mean())
    ratio = math.log(a2 / a1) if a1 > 0 and a2 > 0 else math.nan
    return {"a1": a1, "a2": a2, "log(a2/a1)": ratio}
