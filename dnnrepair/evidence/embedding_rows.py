"""The vectors of an embedding that the data use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 1000  # rows kept


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingRows:
    """At most 1000 different rows of an embedding; parts add to the rows of both.

    Attributes:
        ids: of the rows, ``(n,)``.
        vectors: ``(n, width)``.
        used: the rows are some that the data look up; otherwise evenly spaced ones.
    """

    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]
    used: bool = True

    def __add__(self, other: EmbeddingRows) -> EmbeddingRows:
        """Return the rows of both, those kept whose ids come first in a fixed random order."""
        ids, first = np.unique(np.concatenate([self.ids, other.ids]), return_index=True)
        kept = first_of(ids)
        vectors = np.concatenate([self.vectors, other.vectors])[first]
        return EmbeddingRows(ids=ids[kept], vectors=vectors[kept], used=self.used)

    @property
    def zero(self) -> NDArray[np.int64]:
        """Ids of rows that are exactly zero."""
        return self.ids[~self.vectors.any(axis=1)]

    @property
    def mean_cosine(self) -> float:
        """Mean cosine over pairs of rows other than zero, not centered; 0 for fewer than 2."""
        norms = np.linalg.norm(self.vectors.astype(np.float64), axis=1)
        rows = self.vectors[norms > 0] / norms[norms > 0, None]
        count = len(rows)
        if count < 2:  # noqa: PLR2004 - a pair
            return 0.0
        return float((np.square(rows.sum(axis=0)).sum() - count) / (count * (count - 1)))

    @property
    def participation(self) -> float:
        """(sum of variances)^2 / sum of squared variances along the principal axes, 1 to width."""
        centered = self.vectors.astype(np.float64) - self.vectors.mean(axis=0, dtype=np.float64)
        short = (
            centered @ centered.T if len(centered) < centered.shape[1] else centered.T @ centered
        )
        squares = float(np.square(short).sum())
        return float(np.trace(short) ** 2 / squares) if squares > 0 else 0.0


def first_of(ids: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the places of at most 1000 ids, the first in a fixed random order."""
    ranks = (ids.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    return np.sort(np.argsort(ranks, kind="stable")[:MOST])
