"""A sample of the values an operation puts out, for histograms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """Evenly spaced values of an output over the sketch; they add.

    Attributes:
        values: finite values, one-dimensional.
    """

    values: NDArray[np.float32]

    def __add__(self, other: Values) -> Values:
        """Return the values of both."""
        return Values(values=np.concatenate([self.values, other.values]))

    def histogram(self, bins: int = 40) -> tuple[float, float, tuple[int, ...]]:
        """Return low, high and counts of equal bins over all but the outermost 0.1 %."""
        if not self.values.size:
            return 0.0, 1.0, (0,) * bins
        low, high = np.quantile(self.values, [0.001, 0.999])
        if not high > low:
            low, high = low - 0.5, high + 0.5
        counts, _ = np.histogram(self.values, bins=bins, range=(low, high))
        return float(low), float(high), tuple(int(count) for count in counts)
