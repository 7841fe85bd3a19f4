"""Which rows of a weight matrix are copies of each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAME_BIAS = 1e-5  # relative


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCopies:
    """Groups of equal rows, per block (a gate of a recurrent layer).

    Attributes:
        units: rows examined of each block, ``(rows,)``.
        height: rows of each block, those left out included.
        first: position in ``units`` of the first row with the same direction (cos > 0.99999) and
            norm, ``(blocks, rows)``; -1 for a row of zeros.
    """

    units: NDArray[np.int64]
    height: int
    first: NDArray[np.int64]

    def share(self, bias: NDArray[np.float64] | None = None) -> float:
        """Return the largest share, over blocks, of row pairs that are equal, in [0, 1].

        Args:
            bias: one number per row of the whole tensor, compared too where given.
        """
        return max((self._share(block, bias) for block in range(len(self.first))), default=0.0)

    def _share(self, block: int, bias: NDArray[np.float64] | None) -> float:
        kept = self.first[block] >= 0
        first = self.first[block][kept]
        if len(first) < 2:  # noqa: PLR2004 - one row has no copy
            return 0.0
        labels = first[:, None].astype(np.float64)
        if bias is not None and len(bias) == self.height * len(self.first):
            mine = bias[block * self.height + self.units[kept]]
            scale = max(float(np.abs(mine).max()), 1e-30) * SAME_BIAS
            labels = np.column_stack([labels, np.round(mine / scale)])
        _, counts = np.unique(labels, axis=0, return_counts=True)
        pairs = len(first) * (len(first) - 1)
        return float((counts * (counts - 1)).sum() / pairs)
