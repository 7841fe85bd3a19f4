"""Swim: an algebraic gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from dnnrepair.activations.activation import Activation, activation
from dnnrepair.activations.per_channel import per_channel


def swim(x: Tensor, k: Tensor) -> Tensor:
    """Return ``x (1 + k x / sqrt(1 + x^2)) / 2``; the root never overflows."""
    return 0.5 * x * (1 + k * (x / torch.hypot(x, torch.ones_like(x))))


class Swim(nn.Module):
    """``x (1 + k x / sqrt(1 + x^2)) / 2`` (Abdool and Dear 2023, arXiv:2303.02640)."""

    def __init__(self, channels: int = 1, k: float = 0.5, dtype: torch.dtype | None = None) -> None:
        """Start with ``k``, in [0, 1]."""
        super().__init__()
        self.k = nn.Parameter(torch.full((channels,), k, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Return values in the shape of ``x``."""
        return swim(x, per_channel(self.k, x))


@activation("swim")
@dataclass(frozen=True, kw_only=True)
class SwimActivation(Activation):
    """A gate without exponentials, aimed at continuous control.

    With k = 1/2 it rises everywhere, with slope 1/4 far below 0 and 3/4 far above. Unconfirmed:
    formula and k are second-hand (Kunc's survey, arXiv:2402.09092, eq. 367).
    """

    formula: ClassVar[str] = "x (1 + k x / sqrt(1 + x^2)) / 2, k learned"
    reference: ClassVar[str] = "Abdool and Dear 2023, arXiv:2303.02640"
    learnable: ClassVar[tuple[str, ...]] = ("k",)
    kind: ClassVar[type[nn.Module]] = Swim
    parts = (per_channel, swim, Swim)
    compute = staticmethod(swim)
    k: float = 0.5  # at the start, in [0, 1]
