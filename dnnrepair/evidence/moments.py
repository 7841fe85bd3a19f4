"""Count, mean, spread and range of values, per unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class Counted(Protocol):
    """Anything with a count, a mean and a sum of squared differences from it."""

    @property
    def count(self) -> int: ...  # noqa: D102

    @property
    def mean(self) -> Floats: ...  # noqa: D102

    @property
    def m2(self) -> Floats: ...  # noqa: D102


def pooled(one: Counted, other: Counted) -> tuple[Floats, Floats]:
    """Return mean and m2 of both together (Chan, Golub and LeVeque 1983, eq. 1.5)."""
    count = one.count + other.count
    share = other.count / count if count else 0.0
    with np.errstate(invalid="ignore"):  # infinities are for NUM001
        step = other.mean - one.mean
        return one.mean + step * share, one.m2 + other.m2 + step**2 * (one.count * share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Per-unit statistics of an operation's output over all data; they add.

    Attributes:
        count: rows seen (samples times positions).
        mean: ``(units,)``.
        m2: sum of squared differences from the mean, ``(units,)``.
        low, high: smallest and largest value, ``(units,)``.
        nonfinite: values that were NaN or infinite, in all (the other fields are then unreliable).
    """

    count: int
    mean: Floats
    m2: Floats
    low: Floats
    high: Floats
    nonfinite: int = 0

    def __add__(self, other: Moments) -> Moments:
        """Return the statistics of both together."""
        mean, m2 = pooled(self, other)
        return Moments(
            count=self.count + other.count,
            mean=mean,
            m2=m2,
            low=np.minimum(self.low, other.low),
            high=np.maximum(self.high, other.high),
            nonfinite=self.nonfinite + other.nonfinite,
        )

    @property
    def variance(self) -> Floats:
        """Population variance, ``(units,)``."""
        return self.m2 / max(self.count, 1)

    @property
    def std(self) -> Floats:
        """Population standard deviation, ``(units,)``."""
        return np.sqrt(self.variance)

    @property
    def pooled_mean(self) -> float:
        """Mean over all units."""
        with np.errstate(invalid="ignore"):
            return float(self.mean.mean())

    @property
    def pooled_std(self) -> float:
        """Standard deviation over all units and rows together."""
        with np.errstate(invalid="ignore"):
            return float(np.sqrt(self.variance.mean() + self.mean.var()))

    @property
    def rms(self) -> float:
        """Root mean square over all units and rows."""
        return float(np.sqrt((self.variance + self.mean**2).mean()))
