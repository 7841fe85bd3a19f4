"""A fitness for networks that predict values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.fitness.fitness import Weighted, check_above_zero
from dnnrepair.fitness.outputs import sum_in_place

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.fitness.outputs import Outputs


@dataclass(frozen=True, slots=True)
class Regression(Weighted):
    """1 where every output lies within ``tolerance`` of its target, ``1 / (1 + loss)`` elsewhere.

    The loss is the mean squared error in units of the tolerance.

    Attributes:
        tolerance: in units of the outputs, above 0.
    """

    tolerance: float = 1.0

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            SettingError: if the tolerance is not above 0, or weights are unfit.
        """
        Weighted.__post_init__(self)
        check_above_zero("tolerance", self.tolerance)

    def terms(self, outputs: Outputs) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return which rows are within the tolerance, and their terms."""
        full = outputs.full()
        wanted = outputs.targets.reshape(len(outputs.targets), -1).t().unsqueeze(1)
        error = (full - wanted).abs().div_(self.tolerance)
        right = (error <= 1).all(0)
        partial = torch.reciprocal(
            sum_in_place(error.square_()).div_(len(full)).add_(1)
        ).nan_to_num_(nan=0.0)
        return right, (torch.where(right, torch.ones_like(partial), partial),)
