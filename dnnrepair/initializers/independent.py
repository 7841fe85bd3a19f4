"""Initializers that draw each weight by itself."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, ClassVar

from torch import nn

from dnnrepair.initializers.initializer import Initializer, deviation, initializer

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dnnrepair.initializers.fans import Fans


@dataclass(frozen=True, kw_only=True)
class Independent(Initializer):
    """Draws each weight by itself, with one variance.

    Attributes:
        mode: of the fan: ``fan_in`` or ``average`` of in and out.
        uniform: draw from an interval, else from a normal distribution.
    """

    mode: ClassVar[str] = "fan_in"
    uniform: ClassVar[bool] = False

    def draw(self, weight: Tensor, fans: Fans, gain: float, rng: torch.Generator) -> None:
        """Fill one block in place."""
        std = deviation(fans, self.mode, gain)
        if self.uniform:
            nn.init.uniform_(weight, -sqrt(3) * std, sqrt(3) * std, generator=rng)
        else:
            nn.init.normal_(weight, 0.0, std, generator=rng)


@initializer("xavier_normal")
@dataclass(frozen=True, kw_only=True)
class XavierNormal(Independent):
    """Keeps both signals and gradients, on average: for tanh, sigmoid and outputs.

    With ReLU signals fade by a factor of about 2 per layer in mean square.
    Source: Glorot and Bengio 2010.
    """

    formula: ClassVar[str] = "N(0, 2 gain^2 / (fan_in + fan_out))"
    mode: ClassVar[str] = "average"


@initializer("xavier_uniform")
@dataclass(frozen=True, kw_only=True)
class XavierUniform(XavierNormal):
    """Keeps both signals and gradients, on average; bounded weights.

    Source: Glorot and Bengio 2010, eq. 16.
    """

    formula: ClassVar[str] = "U(-b, b), b = gain sqrt(6 / (fan_in + fan_out))"
    uniform: ClassVar[bool] = True


@initializer("he_normal")
@dataclass(frozen=True, kw_only=True)
class HeNormal(Independent):
    """Keeps the scale of signals behind the activation whose gain it is given; ReLU's by default.

    With tanh and ReLU's gain, units saturate.
    Source: He et al. 2015, arXiv:1502.01852, eq. 10.
    """

    formula: ClassVar[str] = "N(0, gain^2 / fan_in)"
    default_gain: ClassVar[float] = sqrt(2)


@initializer("he_uniform")
@dataclass(frozen=True, kw_only=True)
class HeUniform(HeNormal):
    """The same variance as He normal, bounded weights.

    Source: He et al. 2015, arXiv:1502.01852.
    """

    formula: ClassVar[str] = "U(-b, b), b = gain sqrt(3 / fan_in)"
    uniform: ClassVar[bool] = True


@initializer("lecun_normal")
@dataclass(frozen=True, kw_only=True)
class LecunNormal(Independent):
    """Keeps the variance of sums: for SELU, and for linear layers.

    With ReLU the mean square halves per layer.
    Source: LeCun, Bottou, Orr and Mueller 1998; Klambauer et al. 2017, arXiv:1706.02515.
    """

    formula: ClassVar[str] = "N(0, gain^2 / fan_in), gain 1"


@initializer("lecun_uniform")
@dataclass(frozen=True, kw_only=True)
class LecunUniform(LecunNormal):
    """The same variance as LeCun normal, bounded weights.

    Source: LeCun, Bottou, Orr and Mueller 1998.
    """

    formula: ClassVar[str] = "U(-b, b), b = gain sqrt(3 / fan_in), gain 1"
    uniform: ClassVar[bool] = True
