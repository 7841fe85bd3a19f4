"""A share with its interval: every count that is reported carries one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """So many hits in so many tries.

    Attributes:
        hits: 0 up to ``tries``.
        tries: 0 if nothing was tried.
    """

    hits: int
    tries: int

    @property
    def value(self) -> float:
        """The share of hits in [0, 1], NaN if nothing was tried."""
        return self.hits / self.tries if self.tries else float("nan")

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the exact binomial interval of the share (Clopper and Pearson 1934)."""
        from scipy.stats import binomtest

        if not self.tries:
            return 0.0, 1.0
        found = binomtest(self.hits, self.tries).proportion_ci(confidence, method="exact")
        return float(found.low), float(found.high)

    def __str__(self) -> str:
        """Return, for example, ``12/300 (4.0 %)``."""
        if not self.tries:
            return "none tried"
        return f"{self.hits}/{self.tries} ({100 * self.value:.1f} %)"
