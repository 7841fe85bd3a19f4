"""On which share of the data a unit works in the useful range of its activation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """Per-unit counts at an activation, over all data; they add.

    Of images and long sequences evenly spaced positions are counted and scaled up to all rows;
    ``positive`` is 0 exactly where no value of any row was positive.

    Attributes:
        count: rows seen (samples times positions).
        positive: rows with pre-activation above 0, ``(units,)``.
        low: rows on the flat side below, ``(units,)``: slope under 5 % of its maximum (sigmoid
            z < -4.36, tanh z < -2.18, hard ones left of the linear zone); for ReLU and
            LeakyReLU-like (relu, leaky_relu, prelu, rrelu, elu, selu, celu) z <= 0; for GELU,
            SiLU, Mish, softplus, hardswish z < -3.
        high: rows on the flat side above, ``(units,)``; always 0 for unbounded activations.
        slope_square: sum over rows of the squared derivative, ``(units,)``.
    """

    count: int
    positive: Floats
    low: Floats
    high: Floats
    slope_square: Floats

    def __add__(self, other: Activity) -> Activity:
        """Return the counts of both together."""
        return Activity(
            count=self.count + other.count,
            positive=self.positive + other.positive,
            low=self.low + other.low,
            high=self.high + other.high,
            slope_square=self.slope_square + other.slope_square,
        )

    @property
    def positive_share(self) -> Floats:
        """Share of rows with positive pre-activation, ``(units,)`` in [0, 1]."""
        return self.positive / max(self.count, 1)

    @property
    def low_share(self) -> Floats:
        """Share of rows on the flat side below, ``(units,)`` in [0, 1]."""
        return self.low / max(self.count, 1)

    @property
    def high_share(self) -> Floats:
        """Share of rows on the flat side above, ``(units,)`` in [0, 1]."""
        return self.high / max(self.count, 1)

    @property
    def mean_slope_square(self) -> float:
        """E[phi'(z)^2] over all units and rows, the derivative factor of chi."""
        return float(self.slope_square.mean() / max(self.count, 1))
