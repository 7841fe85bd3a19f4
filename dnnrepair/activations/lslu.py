"""LSLU: a series of learned ReLUs, and a convolution over neighbors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.activations.activation import Activation, Constructor, activation
from dnnrepair.activations.grafts import Graft
from dnnrepair.activations.neighbors import Neighbors
from dnnrepair.activations.rectifiers import slope_below
from dnnrepair.errors import SettingError

if TYPE_CHECKING:
    from typing import Self


def series(x: Tensor, theta: Tensor, omega: Tensor) -> Tensor:
    """Return ``relu(h_n)``, with ``h_0 = x`` and ``h_i = theta_i relu(h_{i-1}) + omega_i``."""
    for i in range(theta.shape[0]):
        x = theta[i] * F.relu(x) + omega[i]
    return F.relu(x)


class LSLU(nn.Module):
    """A series of learned ReLUs (Feng et al. 2024, arXiv:2409.08283), without its convolution."""

    def __init__(
        self,
        stages: int = 3,
        theta: float = 1.0,
        omega: float = 0.0,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Start with one ``theta`` and one ``omega`` for each stage."""
        super().__init__()
        self.theta = nn.Parameter(torch.full((stages,), theta, dtype=dtype))
        self.omega = nn.Parameter(torch.full((stages,), omega, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Return values in the shape of ``x``."""
        return series(x, self.theta, self.omega)


class LSLU2d(nn.Module):
    """LSLU with its depthwise convolution and BatchNorm, for ``(N, C, H, W)``."""

    def __init__(
        self,
        channels: int,
        stages: int = 3,
        theta: float = 1.0,
        omega: float = 0.0,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Start as the series alone."""
        super().__init__()
        self.theta = nn.Parameter(torch.full((stages,), theta, dtype=dtype))
        self.omega = nn.Parameter(torch.full((stages,), omega, dtype=dtype))
        self.neighbors = Neighbors(channels, stages, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Return values in the shape of ``x``."""
        y: Tensor = self.neighbors(series(x, self.theta, self.omega))
        return y


@activation("lslu")
@dataclass(frozen=True, kw_only=True)
class Lslu(Activation):
    """A series of ReLUs with learned scales and shifts; with ``spatial`` over neighbors, too.

    Starts as ReLU exactly. The authors draw the kernel with standard deviation 0.02 where a network
    is trained from the start; their code trains one scale and shift for each stage, as here, and
    their folded form leaves the stages out: fold only the BatchNorm. Unconfirmed: the paper's own
    equation, and which of the two it calls theta. A stage with theta <= 0 can kill the layer.
    Moments and curve are those of the start.
    """

    formula: ClassVar[str] = "relu(h_n), h_i = theta_i relu(h_{i-1}) + omega_i, h_0 = x"
    reference: ClassVar[str] = "Feng et al. 2024, arXiv:2409.08283, and their code"
    learnable: ClassVar[tuple[str, ...]] = ("theta", "omega")
    neutral: ClassVar[tuple[str, ...]] = ("stages", "spatial")
    kind: ClassVar[type[nn.Module]] = LSLU
    stages: int = 3  # n, at least 1
    theta: float = 1.0  # scale of each stage, at the start
    omega: float = 0.0  # shift of each stage, at the start, in [-inf, inf]
    spatial: bool = False  # with the depthwise convolution and BatchNorm, for images

    @staticmethod
    def compute(x: Tensor, stages: int, theta: Tensor, omega: Tensor, spatial: bool) -> Tensor:  # noqa: FBT001, ARG004
        """Return the series; the convolution starts as a copy."""
        return series(x, theta.expand(stages), omega.expand(stages))

    def constructor(self, channels: int | None = None) -> Constructor:
        """Return how its module is made; scales and shifts belong to the layer as a whole."""
        numbers = {"stages": self.stages, "theta": self.theta, "omega": self.omega}
        if not self.spatial:
            return Constructor(LSLU, numbers, (series, LSLU))
        if channels is None:
            message = "lslu with spatial=true has a kernel for each channel; say how many there are"
            raise SettingError(message)
        made = {"channels": channels, **numbers}
        return Constructor(LSLU2d, made, (series, Neighbors, LSLU2d))

    def suited_to(self, *, images: bool) -> Self:
        """Leave the convolution out where there are no neighbors."""
        return self if images else self.with_settings(spatial=False)

    @classmethod
    def imitating(cls: type[Self], old: Activation) -> Graft | None:
        """Take the place of ReLU."""
        return Graft(activation=cls()) if slope_below(old) == 0 else None
