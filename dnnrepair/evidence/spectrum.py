"""The singular values of weight matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """One weight matrix, rows and columns of zeros left out.

    Attributes:
        long, short: its larger and smaller side, at most 8192 and 1024 of each, evenly chosen.
        squares: squared singular values, largest first, ``(short,)``.
    """

    long: int
    short: int
    squares: Floats

    @property
    def stable_rank(self) -> float:
        """Squared Frobenius over squared spectral norm (Rudelson, Vershynin 2007), 1 to short."""
        return float(self.squares.sum() / self.squares[0])

    def negligible(self, limit: float) -> float:
        """Return the share of singular values below ``limit`` times the largest, in [0, 1]."""
        return float((self.squares < limit**2 * self.squares[0]).mean())

    @property
    def edge(self) -> float:
        """Largest squared singular value that random weights of the bulk's variance have.

        Marchenko and Pastur 1967, with three widths of the Tracy-Widom fluctuation. What lies
        beyond the edge is left out of the variance, up to a fifth of the values, until nothing more
        lies there.
        """
        width = (np.sqrt(self.long) + np.sqrt(self.short)) ** 2 * (1 + 3 * self.short ** (-2 / 3))
        beyond = 0
        while True:
            kept = self.squares[beyond:]
            edge = float(kept.sum() / (self.long * max(self.short - beyond, 1)) * width)
            more = int((self.squares > edge).sum())
            if more <= beyond or more > self.short // 5:
                return edge
            beyond = more

    def power_law(self, fewest: int = 50) -> tuple[float, float]:
        """Return exponent and Kolmogorov-Smirnov distance of the tail of the squares.

        The tail holds at least ``fewest`` values; without as many the distance is infinite. Maximum
        likelihood, with the cut that minimizes the distance (Clauset, Shalizi and Newman 2009,
        eq. 3.1; Martin and Mahoney 2021).
        """
        ordered = self.squares[self.squares > 0][::-1]
        best = float("nan"), float("inf")
        for start in range(len(ordered) - fewest + 1):
            tail = ordered[start:]
            logs = np.log(tail / tail[0])
            if not logs.sum() > 0:
                continue
            alpha = 1 + len(tail) / float(logs.sum())
            expected = 1 - np.exp((1 - alpha) * logs)
            distance = float(np.abs(expected - np.arange(len(tail)) / len(tail)).max())
            if distance < best[1]:
                best = alpha, distance
        return best


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectrum:
    """The matrices in one weight tensor: one per gate of a recurrent layer, else one.

    Attributes:
        matrices: those with any number other than 0.
        sampled: rows or columns were left out for speed.
    """

    matrices: tuple[Matrix, ...]
    sampled: bool = False
