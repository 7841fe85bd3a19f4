"""VanillaNet's series: a learned sum of shifted ReLUs, on images over neighbors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.activations.activation import Activation, Constructor, activation
from dnnrepair.activations.grafts import Graft
from dnnrepair.activations.neighbors import Neighbors
from dnnrepair.activations.per_channel import per_channel
from dnnrepair.activations.rectifiers import slope_below
from dnnrepair.errors import SettingError

if TYPE_CHECKING:
    from typing import Self


class Series(nn.Module):
    """``sum of a_i relu(x + b_i)``, a and b learned (Chen et al. 2023, arXiv:2305.12972)."""

    def __init__(
        self,
        channels: int = 1,
        terms: int = 3,
        scale: float = 1.0,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Start as ``scale relu(x)``; further terms have a = 0 and b = 1, -1, 2, -2 and so on."""
        super().__init__()
        shifts = [float((i + 1) // 2 * (1 if i % 2 else -1)) for i in range(terms)]
        shift = torch.tensor(shifts, dtype=dtype).unsqueeze(1).repeat(1, channels)
        first = torch.zeros(terms, channels, dtype=dtype)
        first[0] = scale
        self.scale = nn.Parameter(first)
        self.shift = nn.Parameter(shift)

    def forward(self, x: Tensor) -> Tensor:
        """Return values in the shape of ``x``."""
        total = torch.zeros_like(x)
        for i in range(self.scale.shape[0]):
            term = F.relu(x + per_channel(self.shift[i], x))
            total = total + per_channel(self.scale[i], x) * term
        return total


class Series2d(nn.Module):
    """``BN(DWConv(relu(x)))``, for ``(N, C, H, W)``: as VanillaNet computes its series."""

    def __init__(
        self,
        channels: int,
        terms: int = 3,
        scale: float = 1.0,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Start as ``scale relu(x)``."""
        super().__init__()
        self.neighbors = Neighbors(channels, terms, scale, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Return values in the shape of ``x``."""
        y: Tensor = self.neighbors(F.relu(x))
        return y


@activation("series")
@dataclass(frozen=True, kw_only=True)
class SeriesActivation(Activation):
    """A learned sum of shifted ReLUs; with ``spatial`` over neighbors, as in VanillaNet.

    Makes shallow networks more nonlinear. Starts as ReLU exactly. With ``spatial`` it is what the
    authors train, a depthwise convolution of width 2n + 1 and a BatchNorm behind ReLU, but for
    their start: they draw the kernel with standard deviation 0.02. Without it, it is the plain sum
    that their paper begins with, which any layer can have. Moments and curve are those of the
    start.
    """

    formula: ClassVar[str] = "sum of a_i relu(x + b_i), learned; spatial: BN(DWConv(relu(x)))"
    reference: ClassVar[str] = "Chen et al. 2023 (VanillaNet), arXiv:2305.12972, and their code"
    learnable: ClassVar[tuple[str, ...]] = ("scale",)
    neutral: ClassVar[tuple[str, ...]] = ("terms", "spatial")
    kind: ClassVar[type[nn.Module]] = Series
    terms: int = 3  # n, at least 1; spatial: n pixels to each side
    scale: float = 1.0  # a_1 at the start, in [-inf, inf]; the other terms start at 0
    spatial: bool = False  # with the depthwise convolution and BatchNorm, for images

    @staticmethod
    def compute(x: Tensor, terms: int, scale: Tensor, spatial: bool) -> Tensor:  # noqa: FBT001, ARG004
        """Return what it starts as."""
        return scale * F.relu(x)

    def constructor(self, channels: int | None = None) -> Constructor:
        """Return how its module is made."""
        numbers = {"terms": self.terms, "scale": self.scale}
        if not self.spatial:
            made = numbers if channels is None else {"channels": channels, **numbers}
            return Constructor(Series, made, (per_channel, Series))
        if channels is None:
            message = "series with spatial=true has a kernel for each channel; say how many there "
            raise SettingError(message + "are")
        return Constructor(Series2d, {"channels": channels, **numbers}, (Neighbors, Series2d))

    def suited_to(self, *, images: bool) -> Self:
        """Leave the convolution out where there are no neighbors."""
        return self if images else self.with_settings(spatial=False)

    @classmethod
    def imitating(cls: type[Self], old: Activation) -> Graft | None:
        """Take the place of ReLU."""
        return Graft(activation=cls()) if slope_below(old) == 0 else None
