"""How a training run is going: losses, validations, updates and labels, as a monitor saw them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class LossBlock:
    """The training losses between two looks, oldest first.

    Attributes:
        step: optimizer steps that had been taken when the block ended.
        count: finite losses in it.
        mean: of them; NaN if there are none.
        deviation: square root of half the mean squared difference of neighbors (von Neumann 1941):
            a standard deviation that a trend does not widen; NaN for fewer than 2.
        correlation: of neighbors, in [-1, 1], once a straight line is taken off; NaN for fewer
            than 8 losses, or where all are alike.
        nonfinite: losses that were NaN or infinite.
        first_nonfinite: steps taken before the first of them, None if there are none.
    """

    step: int
    count: int
    mean: float
    deviation: float
    correlation: float
    nonfinite: int = 0
    first_nonfinite: int | None = None

    @property
    def error(self) -> float:
        """Standard error of the mean, if neighbors were independent."""
        return self.deviation / math.sqrt(self.count) if self.count else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What the user measured on data that were not trained on.

    Attributes:
        step: optimizer steps taken before.
        loss: mean loss.
        accuracy: share of right predictions, in [0, 1]; None if unknown.
    """

    step: int
    loss: float
    accuracy: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """How far one optimizer step moved one tensor.

    Attributes:
        step: optimizer steps taken, this one included.
        ratio: norm of the change over the norm of the tensor before; NaN if that is 0.
        rate: learning rate over the highest that its group had in this run; in [0, 1], and 1 while
            all rates have been 0.
    """

    step: int
    ratio: float
    rate: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Training:
    """The run so far.

    Attributes:
        step: optimizer steps taken.
        start: mean of the first finite losses; NaN if there are none.
        blocks: the latest, oldest first.
        validations: all of them, oldest first.
        updates: the latest of each tensor, oldest first, by name.
        first_updates: ratio of the first step, by name; without tensors that were zero.
        labels: how often each class was trained on, by its number.
        classes: how many the network tells apart, 0 if unknown.
    """

    step: int
    start: float = math.nan
    blocks: tuple[LossBlock, ...] = ()
    validations: tuple[Validation, ...] = ()
    updates: Mapping[str, tuple[Update, ...]]
    labels: Mapping[int, int]
    first_updates: Mapping[str, float] = field(default_factory=dict)
    classes: int = 0
