"""How the units of an output vary together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CONSTANT = 1e-6  # a unit whose spread is below this share of its size does not vary


@dataclass(frozen=True, kw_only=True)
class Covariance:
    """Joint variation of (at most 512 evenly chosen) units over the sketch; parts add.

    Attributes:
        rows: rows seen (samples times positions, evenly spaced ones of large outputs).
        width: units of the output, those left out included.
        units: indices of the units examined, ``(k,)``.
        mean: ``(k,)``.
        comoment: sum over rows of the products of differences from the mean, ``(k, k)``.
    """

    rows: int
    width: int
    units: NDArray[np.int64]
    mean: Floats
    comoment: Floats

    def __add__(self, other: Covariance) -> Covariance:
        """Return the variation over both together (Chan, Golub and LeVeque 1983, eq. 1.5)."""
        rows = self.rows + other.rows
        share = other.rows / rows if rows else 0.0
        with np.errstate(invalid="ignore"):  # infinities; finite tells
            step = other.mean - self.mean
            mean = self.mean + step * share
            between = np.outer(step, step * (self.rows * share))
            comoment = self.comoment + other.comoment + between
        return Covariance(
            rows=rows, width=self.width, units=self.units, mean=mean, comoment=comoment
        )

    @property
    def finite(self) -> bool:
        """No NaN or infinity was met."""
        return bool(np.isfinite(self.comoment).all() and np.isfinite(self.mean).all())

    @cached_property
    def eigenvalues(self) -> Floats:
        """Variances along the principal directions, largest first, ``(k,)``; 0 if not finite."""
        if not self.finite or not self.rows:
            return np.zeros(len(self.units))
        return np.linalg.eigvalsh(self.comoment / self.rows)[::-1].clip(min=0)

    @property
    def top_share(self) -> float:
        """Share of the total variance along the first principal direction, 0 if nothing varies."""
        total = self.eigenvalues.sum()
        return float(self.eigenvalues[0] / total) if total > 0 else 0.0

    @property
    def effective_rank(self) -> float:
        """Exponential of the entropy of the variance shares (Roy and Vetterli 2007), 1 to k."""
        total = self.eigenvalues.sum()
        if not total > 0:
            return 0.0
        shares = self.eigenvalues[self.eigenvalues > 0] / total
        return float(np.exp(-(shares * np.log(shares)).sum()))

    @property
    def constant(self) -> NDArray[np.bool_]:
        """Which units do not vary, ``(k,)``."""
        std = np.sqrt(self.comoment.diagonal().clip(min=0) / max(self.rows, 1))
        flat: NDArray[np.bool_] = std <= CONSTANT * np.sqrt(self.mean**2 + std**2)
        return flat

    @property
    def correlations(self) -> Floats:
        """Correlation of each pair of units, ``(k, k)``; 0 where a unit is constant."""
        varies = ~self.constant & (self.comoment.diagonal() > 0)
        std = np.sqrt(np.where(varies, self.comoment.diagonal(), 1.0))
        scaled = self.comoment / std[:, None] / std[None, :]
        return np.where(varies[:, None] & varies[None, :], scaled, 0.0)

    def duplicates(self, limit: float = 0.9999) -> tuple[tuple[int, int], ...]:
        """Return (first unit, its copy) for each unit that repeats one before it.

        Units repeat each other when their correlation exceeds ``limit`` in absolute value.
        """
        same = np.triu(np.abs(self.correlations) > limit, k=1)
        copies = np.flatnonzero(same.any(axis=0))
        return tuple((int(self.units[same[:, j].argmax()]), int(self.units[j])) for j in copies)
