"""A fitness that also rewards being right by a distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.fitness.fitness import Weighted, check_above_zero

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.fitness.outputs import Outputs


@dataclass(frozen=True, slots=True)
class Margin(Weighted):
    """A line from 0 to 1 as the label's output rises from ``scale`` below to above its best rival.

    A hinge, clipped at both ends so that no single input can outweigh the others; 0.5 at a tie.

    Attributes:
        scale: in units of the outputs, above 0.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            SettingError: if the scale is not above 0, or weights are unfit.
        """
        Weighted.__post_init__(self)
        check_above_zero("margin's scale", self.scale)

    def terms(self, outputs: Outputs) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return which rows are right, and their terms."""
        label = outputs.of_label()
        full = outputs.full()
        index = outputs.labels().expand(1, *full.shape[1:])
        rival = full.scatter(0, index, -torch.inf).amax(0)
        margin = label - rival
        terms = margin.div(2 * self.scale).add_(0.5).clamp_(0, 1).nan_to_num_(nan=0.0)
        return margin >= 0, (terms,)
