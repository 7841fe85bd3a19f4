"""How large the two sides of an addition are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operands:
    """Sums of squares at an addition, per unit; they add.

    Attributes:
        count: rows seen (samples times positions).
        first: of the first operand, ``(units,)``.
        second: of the second operand, ``(units,)``.
        total: of the sum, ``(units,)``.
    """

    count: int
    first: Floats
    second: Floats
    total: Floats

    def __add__(self, other: Operands) -> Operands:
        """Return the sums of both together."""
        return Operands(
            count=self.count + other.count,
            first=self.first + other.first,
            second=self.second + other.second,
            total=self.total + other.total,
        )

    def rms(self, side: str) -> float:
        """Return the root mean square of ``first``, ``second`` or ``total`` over all units."""
        return float(np.sqrt(getattr(self, side).mean() / max(self.count, 1)))

    def typical(self, side: str) -> float:
        """Return the root mean square of the median unit, which few huge units do not move."""
        return float(np.sqrt(np.median(getattr(self, side)) / max(self.count, 1)))
