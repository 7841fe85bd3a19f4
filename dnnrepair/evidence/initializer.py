"""Which initializer a weight tensor may have been drawn from."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Trained networks were measured to keep a gain^2 between 0.14 and 7.9; normal weights further out
# were drawn so, on purpose or by mistake.
TRAINED_GAINS = (0.12, 8.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class InitializerFit:
    """The known initializer nearest to a weight tensor.

    Attributes:
        nearest: its name, such as ``kaiming_uniform``.
        distribution: ``uniform`` or ``normal``, whichever is nearer in shape.
        gain2: fan_in times the variance of the weights.
        ratio: variance of the weights over that of the initializer, 1 for a fresh draw.
        tolerance: four standard errors of that ratio's logarithm.
        distance: Kolmogorov-Smirnov distance to the distribution, scaled to the weights.
        critical: the distance that one fresh tensor in a thousand exceeds.
    """

    nearest: str
    distribution: str
    gain2: float
    ratio: float
    tolerance: float
    distance: float
    critical: float

    @property
    def matches(self) -> bool:
        """The weights cannot be told from a fresh draw.

        The sharp edges of a uniform draw do not survive training, so its scale is left open;
        normal weights must also have a known scale, or one that training does not lead to.
        """
        if not self.distance <= self.critical:
            return False
        if self.distribution == "uniform":
            return True
        low, high = TRAINED_GAINS
        return self.known_scale or not low < self.gain2 < high

    @property
    def known_scale(self) -> bool:
        """The variance is that of the nearest initializer."""
        return self.ratio > 0 and abs(math.log(self.ratio)) <= self.tolerance
