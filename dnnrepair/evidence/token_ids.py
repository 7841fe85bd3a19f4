"""Which rows of an embedding the data use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenIds:
    """How often each row was looked up over all data; counts add.

    Attributes:
        uses: lookups per row, ``(rows,)``.
        lowest, highest: smallest and largest id seen.
    """

    uses: NDArray[np.int64]
    lowest: int
    highest: int

    def __add__(self, other: TokenIds) -> TokenIds:
        """Return the counts of both together."""
        return TokenIds(
            uses=self.uses + other.uses,
            lowest=min(self.lowest, other.lowest),
            highest=max(self.highest, other.highest),
        )
