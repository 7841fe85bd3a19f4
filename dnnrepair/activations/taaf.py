"""TAAF: any activation with a learned scale and shift of its input and of its output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from dnnrepair.activations.activation import Activation, Constructor, activation
from dnnrepair.activations.grafts import Graft
from dnnrepair.activations.per_channel import per_channel
from dnnrepair.activations.squashing import Tanh

if TYPE_CHECKING:
    from typing import Self


class TAAF(nn.Module):
    """``alpha f(beta x + gamma) + delta``, all learned (Kunc and Klema 2021)."""

    def __init__(
        self,
        base: nn.Module,
        channels: int = 1,
        alpha: float = 1.0,
        beta: float = 1.0,
        gamma: float = 0.0,
        delta: float = 0.0,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Wrap f = ``base``; with one set of numbers for each channel on dimension 1."""
        super().__init__()
        self.base = base
        self.alpha = nn.Parameter(torch.full((channels,), alpha, dtype=dtype))
        self.beta = nn.Parameter(torch.full((channels,), beta, dtype=dtype))
        self.gamma = nn.Parameter(torch.full((channels,), gamma, dtype=dtype))
        self.delta = nn.Parameter(torch.full((channels,), delta, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Return values in the shape of ``x``."""
        inner = self.base(per_channel(self.beta, x) * x + per_channel(self.gamma, x))
        y: Tensor = per_channel(self.alpha, x) * inner + per_channel(self.delta, x)
        return y


_TANH = Tanh()


@activation("taaf")
@dataclass(frozen=True, kw_only=True)
class Taaf(Activation):
    """Any activation with a learned scale and shift of its input and of its output.

    Starts as f itself, so that any activation can be made one without changing the function.
    Between two affine layers the four numbers fold away: it trains differently but expresses no
    more. Moments are those of tanh where no base is given.
    """

    formula: ClassVar[str] = "alpha f(beta x + gamma) + delta, all four learned"
    reference: ClassVar[str] = "Kunc and Klema 2021, doi:10.1371/journal.pone.0243915"
    learnable: ClassVar[tuple[str, ...]] = ("alpha", "beta", "gamma", "delta")
    kind: ClassVar[type[nn.Module]] = TAAF
    base: Activation = _TANH
    alpha: float = 1.0  # of the output, in [-inf, inf]
    beta: float = 1.0  # of the input, in [-inf, inf]
    gamma: float = 0.0  # added to the input, in [-inf, inf]
    delta: float = 0.0  # added to the output, in [-inf, inf]

    @property
    def inputs(self) -> int:
        """As its base."""
        return self.base.inputs

    @staticmethod
    def compute(x: Tensor, base: Activation, *numbers: Any) -> Tensor:  # noqa: ANN401 - tensors
        """Return values in the shape of ``x``."""
        alpha, beta, gamma, delta = numbers
        y: Tensor = alpha * base.function(beta * x + gamma) + delta
        return y

    def constructor(self, channels: int | None = None) -> Constructor:
        """Return how its module is made; the base has parameters of each channel, too."""
        numbers = {name: getattr(self, name) for name in self.learnable}
        made = {"base": self.base.constructor(channels), "channels": channels or 1, **numbers}
        return Constructor(TAAF, made, (per_channel, TAAF))

    def suited_to(self, *, images: bool) -> Self:
        """As its base."""
        return self.with_settings(base=self.base.suited_to(images=images))

    @classmethod
    def imitating(cls: type[Self], old: Activation) -> Graft | None:
        """Take the place of anything."""
        return Graft(activation=cls(base=old), pieces=((1.0, 0.0),)) if old.inputs == 1 else None
