"""How often the gates of recurrent layers are saturated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateUse:
    """Per-unit counts at the inner activations of a recurrent operation; they add.

    Attributes:
        count: rows seen (samples times steps), 0 if the call could not be taken apart.
        low: rows on the flat side below, ``(gates, units)``: slope under 5 % of its maximum.
        high: rows on the flat side above, ``(gates, units)``.
        names: of the gates, such as ``output gate``, with layer and direction if several.
    """

    count: int
    low: Floats
    high: Floats
    names: tuple[str, ...]

    def __add__(self, other: GateUse) -> GateUse:
        """Return the counts of both together."""
        if not self.count or not other.count:
            return other if other.count else self
        return GateUse(
            count=self.count + other.count,
            low=self.low + other.low,
            high=self.high + other.high,
            names=self.names,
        )
