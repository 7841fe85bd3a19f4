"""What layer norms read, token by token."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class NormInput:
    """Counts over the tokens that a layer or RMS norm normalizes; they add.

    Attributes:
        count: tokens seen.
        faint: tokens with variance (RMS norm: mean square) below 10 times ``eps``.
        massive: tokens of which one feature holds more than half the energy.
    """

    count: int
    faint: int
    massive: int

    def __add__(self, other: NormInput) -> NormInput:
        """Return the counts of both together."""
        return NormInput(
            count=self.count + other.count,
            faint=self.faint + other.faint,
            massive=self.massive + other.massive,
        )
