"""The box that a search may not leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dnnrepair.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Box:
    """Bounds of k weights, for all searches ``(k,)`` or for each ``(S, k)``, float32 or float64.

    The type and device of the bounds are those of the search.

    Raises:
        SettingError: if the bounds are not of one floating type and shape, finite and in order.
    """

    low: Tensor
    high: Tensor

    def __post_init__(self) -> None:
        """Refuse bounds that bound nothing."""
        shape = tuple(self.low.shape)
        if shape != tuple(self.high.shape) or len(shape) not in {1, 2} or 0 in shape:
            _refuse(f"of shapes {shape} and {tuple(self.high.shape)}", "(k,) or (S, k), k >= 1")
        if self.low.dtype != self.high.dtype or self.low.dtype not in {
            torch.float32,
            torch.float64,
        }:
            _refuse(f"{self.low.dtype} and {self.high.dtype}", "both float32 or both float64")
        if not bool((torch.isfinite(self.high - self.low) & (self.low <= self.high)).all()):
            _refuse("infinite, NaN or crossed", "finite bounds, low <= high")

    @property
    def weights(self) -> int:
        """The number k of weights."""
        return self.low.shape[-1]

    def clip(self, values: Tensor) -> Tensor:
        """Return ``(S, P, k)`` values moved into the box."""
        return torch.clamp(values, self.low.unsqueeze(-2), self.high.unsqueeze(-2))

    def check_searches(self, count: int) -> None:
        """Make sure that the bounds fit ``count`` searches.

        Raises:
            SettingError: if they are those of another number.
        """
        if self.low.ndim > 1 and len(self.low) != count:
            _refuse(f"those of {len(self.low)} searches", f"(k,) or ({count}, k)")


def arachne_box(layers: Sequence[Tensor], owner: Tensor) -> Box:
    """Return the bounds of Arachne: twice the range of the layer that each weight belongs to.

    A bound on the near side of zero is halved instead (Sohn, Kang and Yoo, TOSEM 2023).

    Args:
        layers: the weight tensors, of any shapes.
        owner: which of them each of the weights belongs to, int64 ``(k,)``.
    """
    low = torch.stack([layer.amin() for layer in layers])[owner]
    high = torch.stack([layer.amax() for layer in layers])[owner]
    return Box(
        torch.where(low < 0, low * 2, low / 2),
        torch.where(high > 0, high * 2, high / 2),
    )


def _refuse(found: str, wanted: str) -> None:
    message = f"the bounds of the search are {found}; give {wanted}"
    raise SettingError(message)
