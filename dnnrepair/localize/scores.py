"""How strongly each weight of a network is suspected."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from dnnrepair.population.places import Place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Two scores for each of M weights, of one tensor after the other, row-major.

    Attributes:
        shapes: of the tensors, by name, in order.
        gradient: gradient loss: of the negatives, over 1 plus that of the positives, ``(M,)``.
        impact: forward impact, likewise, ``(M,)``.
    """

    shapes: Mapping[str, tuple[int, ...]]
    gradient: Floats
    impact: Floats

    def __len__(self) -> int:
        """Return M."""
        return len(self.gradient)

    def place(self, position: int) -> Place:
        """Return the weight at a position of the scores."""
        names = list(self.shapes)
        owner = bisect_right(self._starts, position) - 1
        index = np.unravel_index(position - self._starts[owner], self.shapes[names[owner]])
        return Place(names[owner], tuple(int(i) for i in index))

    def position(self, place: Place) -> int:
        """Return the position of a weight in the scores."""
        start = self._starts[list(self.shapes).index(place.tensor)]
        return start + int(np.ravel_multi_index(place.index, self.shapes[place.tensor]))

    @cached_property
    def _starts(self) -> Sequence[int]:
        sizes = [int(np.prod(shape)) for shape in self.shapes.values()]
        return [0, *np.cumsum(sizes)[:-1].tolist()]
