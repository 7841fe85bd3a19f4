"""How strongly the loss pulls at each parameter."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Gradient:
    """The gradient of the loss in one parameter, over the batches of the sketch.

    Attributes:
        norm: Euclidean norm, mean over the batches whose gradient is finite; NaN if none is.
        weight_norm: Euclidean norm of the parameter itself.
        size: how many numbers the parameter holds.
        batches: how many there were.
        zero_batches: batches in which it was exactly zero everywhere.
        nonfinite: gradient values that were NaN or infinite, in all.
        reached: a path of the graph leads from the loss to the parameter.
    """

    norm: float
    weight_norm: float
    size: int
    batches: int
    zero_batches: int = 0
    nonfinite: int = 0
    reached: bool = True

    @property
    def ratio(self) -> float:
        """Norm of the gradient over that of the parameter; NaN for a parameter that is zero."""
        return self.norm / self.weight_norm if self.weight_norm > 0 else math.nan

    @property
    def rms(self) -> float:
        """Root mean square of the gradient's values."""
        return self.norm / math.sqrt(max(self.size, 1))

    @property
    def vanished(self) -> bool:
        """Whether no batch moves the parameter."""
        return not self.reached or self.zero_batches == self.batches
