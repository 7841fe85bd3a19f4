"""What differs between two runs on the same samples."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """Two evaluation passes over one batch, compared at one operation ("": the prediction).

    Attributes:
        difference: largest absolute difference.
        rms: root mean square of the first pass.
    """

    difference: float
    rms: float

    @property
    def relative(self) -> float:
        """Difference over the root mean square, or over 1 if that is smaller."""
        return self.difference / max(1.0, self.rms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """Does a prediction for a token look at tokens after it?

    Attributes:
        difference: largest change of a prediction up to a token when only later ones changed.
        rms: root mean square of the predictions.
        reason: why the network is held to be causal.
    """

    difference: float
    rms: float
    reason: str
