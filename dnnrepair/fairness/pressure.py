"""How hard the descent pushes against each gap: multipliers that follow what is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.fitness.disparity import Disparity

PROPORTIONAL, INTEGRAL = 2.0, 0.3
STRONGEST = 10.0  # times, that a rate which hardly moves is pushed harder than the one that does


@dataclass(slots=True)
class Pressure:
    """Multipliers of the groups' rates: a proportional and an integral part.

    The Lagrangian of "make the loss small while no two groups are further apart than a tolerance",
    with multipliers set by feedback: they grow while a gap exceeds the tolerance and shrink while
    it does not (Platt and Barr 1987; the moments are those of Agarwal et al. 2018). The
    proportional part is the derivative of a quadratic penalty, without which the two of them circle
    each other.

    Attributes:
        held: the integral part, ``(R, G)``; each row adds up to 0.
        now: the multipliers, ``(R, G)``.
        gains: of each rate, ``(R, 1)``, at least 1: a rate that the same change of the margins
            moves less is pushed harder.
    """

    held: Tensor
    now: Tensor
    gains: Tensor

    @classmethod
    def none(cls, rates: int, groups: int, slopes: Tensor | None = None) -> Pressure:
        """Return no pressure.

        Args:
            rates: how many.
            groups: how many.
            slopes: by how much each rate rises with the margins, ``(R,)``; None if all alike.
        """
        gains = torch.ones(rates, 1)
        if slopes is not None and len(slopes):
            gains = (slopes.max() / slopes.clamp(min=1e-12)).clamp(1.0, STRONGEST)[:, None]
        return cls(torch.zeros(rates, groups), torch.zeros(rates, groups), gains)

    def follow(self, rates: Tensor, tolerance: float) -> None:
        """Adapt to measured rates.

        Args:
            rates: of the groups, ``(R, G)``; NaN if unknown.
            tolerance: by which groups may be apart, at least 0.
        """
        known = rates.isfinite()
        high = rates.masked_fill(~known, -torch.inf)
        low = rates.masked_fill(~known, torch.inf)
        gaps = (high.amax(1) - low.amin(1)).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        push = torch.zeros_like(rates)
        rows = torch.arange(len(rates))
        push[rows, high.argmax(1)] += 1
        push[rows, low.argmin(1)] -= 1
        excess = self.gains * (gaps - tolerance)[:, None]
        over = excess.clamp(min=0) * push
        size = self.held.abs().amax(1, keepdim=True)
        released = (size + INTEGRAL * excess.clamp(max=0)).clamp(min=0) / size.clamp(min=1e-12)
        self.held = self.held * torch.where(excess < 0, released, torch.ones_like(released))
        self.held = self.held + INTEGRAL * over
        self.now = self.held + PROPORTIONAL * over

    def cost(self, table: Tensor, disparity: Disparity) -> Tensor:
        """Return what the loss is charged for a differentiable table ``(G, 2, 2)``."""
        rates = disparity.of_groups(table)
        return (self.now.to(rates) * rates.nan_to_num(nan=0.0)).sum()
