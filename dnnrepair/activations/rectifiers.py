"""ReLU, its leaky kin, and its square."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.activations.activation import Activation, Constructor, activation
from dnnrepair.activations.grafts import Graft

if TYPE_CHECKING:
    from typing import Self


def relu_squared(x: Tensor) -> Tensor:
    """Return ``max(0, x)^2``."""
    return F.relu(x).square()


class ReLUSquared(nn.Module):
    """``max(0, x)^2`` (So et al. 2021, arXiv:2109.08668)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return values in the shape of ``x``."""
        return relu_squared(x)


def leaky(x: Tensor, slope: Tensor) -> Tensor:
    """Return ``x`` above 0 and ``slope x`` below."""
    return torch.where(x > 0, x, slope * x)


def slope_below(old: Activation) -> float | None:
    """Return the slope below 0 of an activation that is linear on both sides, and 1 above."""
    if isinstance(old, ReLU):
        return 0.0
    if isinstance(old, LeakyReLU):
        return old.negative_slope
    if isinstance(old, RReLU):
        return (old.lower + old.upper) / 2  # where it is not training
    if isinstance(old, PReLU):
        return old.slope
    return None


@activation("relu")
@dataclass(frozen=True, kw_only=True)
class ReLU(Activation):
    """The default of plain and convolutional networks: cheap, and scale-invariant.

    Where a unit's input is negative on every sample it gets no gradient and is dead for ever; its
    outputs are never negative, so that later layers see a positive mean.
    """

    formula: ClassVar[str] = "max(0, x)"
    reference: ClassVar[str] = "Nair and Hinton 2010; gain: He et al. 2015, arXiv:1502.01852"
    kind: ClassVar[type[nn.Module]] = nn.ReLU
    compute = staticmethod(F.relu)

    @classmethod
    def imitating(cls: type[Self], old: Activation) -> Graft | None:
        """Take the place of a leaky one whose slope is 0."""
        return Graft(activation=cls()) if slope_below(old) == 0 else None


@activation("leaky_relu")
@dataclass(frozen=True, kw_only=True)
class LeakyReLU(Activation):
    """A ReLU that passes a little of what is negative: no unit dies.

    A unit can still stay on one side for nearly all samples, where it is linear. Slopes in use:
    0.01 (torch), 0.1, 0.2, 0.3 (Keras); a slope of 1 is no activation.
    """

    formula: ClassVar[str] = "x if x > 0 else a x"
    reference: ClassVar[str] = "Maas, Hannun and Ng 2013"
    kind: ClassVar[type[nn.Module]] = nn.LeakyReLU
    compute = staticmethod(F.leaky_relu)
    negative_slope: float = 0.01  # a, in [0, 1]

    @classmethod
    def imitating(cls: type[Self], old: Activation) -> Graft | None:
        """Take the place of ReLU and of any leaky one."""
        slope = slope_below(old)
        return None if slope is None else Graft(activation=cls(negative_slope=slope))


@activation("prelu")
@dataclass(frozen=True, kw_only=True)
class PReLU(Activation):
    """A LeakyReLU that learns its slope, one for the layer or one for each channel.

    With slope 0 it is ReLU exactly, and its slope has the gradient x where x is negative: dead
    units can revive. Keep weight decay off the slope. Channels are dimension 1: for ``(N, T, C)``
    use one slope.
    """

    formula: ClassVar[str] = "x if x > 0 else a x, a learned"
    reference: ClassVar[str] = "He et al. 2015, arXiv:1502.01852"
    learnable: ClassVar[tuple[str, ...]] = ("slope",)
    kind: ClassVar[type[nn.Module]] = nn.PReLU
    compute = staticmethod(leaky)
    slope: float = 0.25  # a at the start, in [-10, 10]

    def constructor(self, channels: int | None = None) -> Constructor:
        """Return how its module is made, in torch's own words."""
        return Constructor(nn.PReLU, {"num_parameters": channels or 1, "init": self.slope})

    @classmethod
    def imitating(cls: type[Self], old: Activation) -> Graft | None:
        """Take the place of ReLU and of any leaky one."""
        slope = slope_below(old)
        return None if slope is None else Graft(activation=cls(slope=slope))


def randomized(x: Tensor, lower: float, upper: float) -> Tensor:
    """Return what a randomized leaky ReLU gives where it is not training."""
    return F.rrelu(x, lower, upper, training=False)


@activation("rrelu")
@dataclass(frozen=True, kw_only=True)
class RReLU(Activation):
    """A LeakyReLU whose slope is drawn for each element while training.

    In evaluation the slope is the mean of the two. Seed it before two networks are compared.
    """

    formula: ClassVar[str] = "x if x > 0 else a x, a ~ U(l, u) in training and (l + u) / 2 after it"
    reference: ClassVar[str] = "Xu et al. 2015, arXiv:1505.00853"
    kind: ClassVar[type[nn.Module]] = nn.RReLU
    compute = staticmethod(randomized)
    lower: float = 1 / 8  # l, in [0, 1]
    upper: float = 1 / 3  # u, at least l, in [0, 1]

    @classmethod
    def imitating(cls: type[Self], old: Activation) -> Graft | None:
        """Take the place of ReLU and of any leaky one, without any noise."""
        slope = slope_below(old)
        return None if slope is None else Graft(activation=cls(lower=slope, upper=slope))


@activation("relu_squared")
@dataclass(frozen=True, kw_only=True)
class ReluSquared(Activation):
    """The square of ReLU, from a search for language models; wants normalized input.

    Errors of scale grow from layer to layer (s = 2): without a normalization before it, deep
    networks overflow. In float16 it overflows above x = 255.
    """

    formula: ClassVar[str] = "max(0, x)^2"
    reference: ClassVar[str] = "So et al. 2021 (Primer), arXiv:2109.08668"
    kind: ClassVar[type[nn.Module]] = ReLUSquared
    parts = (relu_squared, ReLUSquared)
    compute = staticmethod(relu_squared)
