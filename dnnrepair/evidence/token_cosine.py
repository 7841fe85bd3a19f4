"""How alike the tokens of a sequence are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCosine:
    """Cosine between the tokens of one sequence, over sequences; they add.

    Attributes:
        sequences: how many had at least two tokens.
        total: sum over sequences of the mean cosine of all pairs of tokens.
    """

    sequences: int
    total: float

    def __add__(self, other: TokenCosine) -> TokenCosine:
        """Return both together."""
        return TokenCosine(
            sequences=self.sequences + other.sequences, total=self.total + other.total
        )

    @property
    def mean(self) -> float:
        """Mean cosine in [-1, 1], 0 without sequences."""
        return self.total / self.sequences if self.sequences else 0.0
