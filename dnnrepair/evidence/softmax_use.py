"""How sharp a softmax inside the network is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftmaxUse:
    """Entropy of the distributions a softmax makes; they add.

    Attributes:
        rows: distributions over at least two choices.
        entropy: sum over rows of entropy / ln(choices), in [0, 1] each.
    """

    rows: int
    entropy: float

    def __add__(self, other: SoftmaxUse) -> SoftmaxUse:
        """Return both together."""
        return SoftmaxUse(rows=self.rows + other.rows, entropy=self.entropy + other.entropy)

    @property
    def mean_entropy(self) -> float:
        """Mean normalized entropy, in [0, 1]; NaN without rows."""
        return self.entropy / self.rows if self.rows else float("nan")
