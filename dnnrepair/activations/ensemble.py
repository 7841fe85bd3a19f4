"""An ensemble: a learned sum of several activations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from dnnrepair.activations.activation import Activation, Constructor, activation, find
from dnnrepair.activations.grafts import Graft
from dnnrepair.activations.per_channel import per_channel
from dnnrepair.activations.rectifiers import ReLU
from dnnrepair.errors import SettingError

if TYPE_CHECKING:
    from typing import Self


class Ensemble(nn.Module):
    """``sum of c_i f_i(x)``, c learned (Sütfeld et al. 2018, arXiv:1806.10064)."""

    def __init__(
        self,
        members: list[nn.Module],
        channels: int = 1,
        first: float = 1.0,
        rest: float = 0.0,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Sum the members up; the first one's c is ``first``, that of the others ``rest``."""
        super().__init__()
        self.members = nn.ModuleList(members)
        weight = torch.full((len(members), channels), rest, dtype=dtype)
        weight[0] = first
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return values in the shape of ``x``."""
        total = torch.zeros_like(x)
        for i, member in enumerate(self.members):
            total = total + per_channel(self.weight[i], x) * member(x)
        return total


_RELU = ReLU()


@activation("ensemble")
@dataclass(frozen=True, kw_only=True)
class EnsembleActivation(Activation):
    """A learned sum of several activations, so that training mixes the shape that it wants.

    Starts as the first one, so that any activation can be made an ensemble without changing the
    function: the others enter with c = 0, which has a gradient. One that is not finite for some
    input spoils the sum even at c = 0. Each step computes all of them. Adaptive blending units are
    such a sum over tanh, ELU, ReLU, Swish and the identity. Moments are those of the start.
    """

    formula: ClassVar[str] = "sum of c_i f_i(x), c learned, c = (1, 0, ...) at the start"
    reference: ClassVar[str] = "Sütfeld et al. 2018, arXiv:1806.10064 (abstract)"
    learnable: ClassVar[tuple[str, ...]] = ("first", "rest")
    neutral: ClassVar[tuple[str, ...]] = ("others",)
    kind: ClassVar[type[nn.Module]] = Ensemble
    base: Activation = _RELU
    others: str = "tanh+elu+silu"  # names of the further members, with their own defaults
    first: float = 1.0  # c of the base at the start, in [-inf, inf]
    rest: float = 0.0  # c of each other one at the start, in [-inf, inf]

    def __post_init__(self) -> None:
        """Look the members up.

        Raises:
            SettingError: one of them takes several inputs for each output.
            UnknownNameError: there is none of that name; the nearest is suggested.
        """
        for member in self.members:
            if member.inputs != 1:
                message = f"an ensemble cannot hold {member.name}, which takes {member.inputs} "
                raise SettingError(message + "inputs for each output")

    @property
    def members(self) -> tuple[Activation, ...]:
        """All that are summed up, the base first."""
        names = [name for name in self.others.split("+") if name.strip()]
        return (self.base, *(find(name) for name in names))

    @property
    def domain(self) -> tuple[float, float]:
        """Where all members are of use."""
        lows, highs = zip(*(member.domain for member in self.members), strict=True)
        return max(lows), min(highs)

    @staticmethod
    def compute(x: Tensor, base: Activation, others: str, first: Any, rest: Any) -> Tensor:  # noqa: ANN401 - tensors
        """Return values in the shape of ``x``."""
        _, *further = EnsembleActivation(base=base, others=others).members
        total: Tensor = first * base.function(x)
        for member in further:
            total = total + rest * member.function(x)
        return total

    def constructor(self, channels: int | None = None) -> Constructor:
        """Return how its module is made; members have parameters of each channel, too."""
        members = [member.constructor(channels) for member in self.members]
        made = {"members": members, "channels": channels or 1}
        made |= {"first": self.first, "rest": self.rest}
        return Constructor(Ensemble, made, (per_channel, Ensemble))

    def suited_to(self, *, images: bool) -> Self:
        """As its base."""
        return replace(self, base=self.base.suited_to(images=images))

    @classmethod
    def imitating(cls: type[Self], old: Activation) -> Graft | None:
        """Take the place of anything."""
        return Graft(activation=cls(base=old)) if old.inputs == 1 else None
