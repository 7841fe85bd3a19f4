"""What attention heads attend to, and what they put out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """Per-head statistics of one attention over the sketch; they add.

    Attributes:
        queries: rows of the attention matrix with at least two keys to choose from.
        entropy: sum over these rows of entropy / ln(keys), in [0, 1] each, ``(heads,)``.
        sink: sum over these rows of the mass on the first key, ``(heads,)``.
        total: sum of the head's outputs, per feature, ``(heads, features)``.
        square: sum of their squares, ``(heads, features)``.
        rows: rows behind ``total`` and ``square``.
        products: sum over rows and features of products of two heads' outputs, ``(heads, heads)``.
        crossed: keys do not come from the same values as queries.
    """

    queries: int
    entropy: Floats
    sink: Floats
    rows: int
    total: Floats
    square: Floats
    products: Floats
    crossed: bool = False

    def __add__(self, other: Heads) -> Heads:
        """Return the statistics of both together."""
        return Heads(
            queries=self.queries + other.queries,
            entropy=self.entropy + other.entropy,
            sink=self.sink + other.sink,
            rows=self.rows + other.rows,
            total=self.total + other.total,
            square=self.square + other.square,
            products=self.products + other.products,
            crossed=self.crossed,
        )

    @property
    def mean_entropy(self) -> Floats:
        """Mean normalized entropy per head, in [0, 1]; NaN without a choice of keys."""
        return self.entropy / self.queries if self.queries else np.full(len(self.entropy), np.nan)

    @property
    def mean_sink(self) -> Floats:
        """Mean attention mass on the first key per head, in [0, 1]."""
        return self.sink / self.queries if self.queries else np.full(len(self.sink), np.nan)

    @property
    def std(self) -> Floats:
        """Standard deviation of each head's output over rows, features pooled, ``(heads,)``."""
        rows = max(self.rows, 1)
        variance = self.square / rows - (self.total / rows) ** 2
        found: Floats = np.sqrt(np.maximum(variance, 0).mean(axis=1))
        return found

    @property
    def correlation(self) -> Floats:
        """Correlation between the outputs of two heads, ``(heads, heads)``; 0 for constant ones."""
        rows = max(self.rows, 1)
        shared = self.products - self.total @ self.total.T / rows
        own = np.sqrt(np.maximum(np.diag(shared), 0))
        scale = np.outer(own, own)
        found: Floats = np.divide(shared, scale, out=np.zeros_like(shared), where=scale > 0)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadUse:
    """What becomes of the heads of one attention.

    Attributes:
        written: Frobenius norm of each head's slice of the projection that follows, over the mean
            of the layer's slices, ``(heads,)``; empty where no projection was found.
        ablated: change of the mean loss when the output of a head is held at its mean, by head;
            only heads that looked idle are tried.
    """

    written: Floats
    ablated: dict[int, float]
