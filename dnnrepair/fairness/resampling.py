"""The bootstrap on tables of counts: for rows without weights exactly that on rows, but faster.

Drawing n rows with replacement and counting them is drawing the counts from the multinomial
distribution of the observed shares (Efron and Tibshirani 1993, section 6.5), whose cost does not
depend on n.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

_MOST_CELLS = 2_000_000  # drawn at a time, so that memory stays bounded


class Source(Protocol):
    """A table of counts that can be drawn again."""

    @property
    def table(self) -> Numbers:
        """The table as observed."""
        ...

    def draws(self, count: int, rng: np.random.Generator) -> Iterator[Numbers]:
        """Yield ``count`` tables in all, some at a time, each ``(some, *table.shape)``."""
        ...


@dataclass(frozen=True, slots=True)
class Counts:
    """A table of whole numbers of rows.

    Attributes:
        table: ``(...)`` of any shape.
    """

    table: Numbers

    def draws(self, count: int, rng: np.random.Generator) -> Iterator[Numbers]:
        """Yield tables from the multinomial distribution of the observed shares."""
        flat = self.table.reshape(-1)
        total = flat.sum()
        for some in _batches(count, flat.size):
            drawn = rng.multinomial(round(total), flat / total, size=some)
            yield drawn.reshape(some, *self.table.shape).astype(np.float64)


@dataclass(frozen=True, slots=True)
class ScoredCounts:
    """Counts of negatives and positives with the sum of their scores, by group and bin.

    The mean score of a bin is taken as known; it varies by less than the bin is wide.

    Attributes:
        table: ``(groups, bins, 3)`` of :func:`dnnrepair.fairness.counts.calibration`.
    """

    table: Numbers

    def draws(self, count: int, rng: np.random.Generator) -> Iterator[Numbers]:
        """Yield tables of drawn counts with the scores that belong to them."""
        rows = self.table[..., :2].sum(axis=-1)
        mean = np.divide(self.table[..., 2], rows, out=np.zeros_like(rows), where=rows > 0)
        for drawn in Counts(self.table[..., :2]).draws(count, rng):
            scores = drawn.sum(axis=-1) * mean
            yield np.concatenate([drawn, scores[..., None]], axis=-1)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that must be drawn one by one: they have weights, or values.

    Attributes:
        table: as observed.
        tabulate: returns the table if each row counts as often as ``(rows,)`` says.
        size: number of rows.
    """

    table: Numbers
    tabulate: Callable[[Numbers], Numbers]
    size: int

    def draws(self, count: int, rng: np.random.Generator) -> Iterator[Numbers]:
        """Yield tables of rows drawn with replacement."""
        for some in _batches(count, self.table.size):
            drawn = np.empty((some, *self.table.shape))
            for place in range(some):
                chosen = rng.integers(0, self.size, self.size)
                times = np.bincount(chosen, minlength=self.size).astype(np.float64)
                drawn[place] = self.tabulate(times)
            yield drawn


class Remembered:
    """A source that is slow to draw from, whose draws serve all who ask for as many."""

    def __init__(self, source: Source) -> None:
        """Draw when first asked."""
        self._source = source
        self._drawn: dict[int, list[Numbers]] = {}

    @property
    def table(self) -> Numbers:
        """The table as observed."""
        return self._source.table

    def draws(self, count: int, rng: np.random.Generator) -> Iterator[Numbers]:
        """Yield the same tables to all."""
        if count not in self._drawn:
            self._drawn[count] = list(self._source.draws(count, rng))
        yield from self._drawn[count]


def _batches(count: int, cells: int) -> Iterator[int]:
    size = max(1, min(count, _MOST_CELLS // max(cells, 1)))
    for start in range(0, count, size):
        yield min(size, count - start)
