"""Residual branches and recurrent weights of the wrong size."""

from __future__ import annotations

from dnnrepair.repairing.recipes import GENTLE
from dnnrepair.repairing.treatment import (
    Case,
    Cost,
    Treated,
    Treatment,
    operated,
    treatment,
)
from dnnrepair.swapping.operations.residual import ResidualScale
from dnnrepair.swapping.operations.spectral import SpectralRadius
from dnnrepair.swapping.where import Where


@treatment("scale residual branches and train", "RES001", cost=Cost.TRAINED)
class ResidualScaled(Treatment):
    """Residual branches get a factor that is learned; then training."""

    recipe = GENTLE

    def begin(self, case: Case) -> Treated:
        """Return the changed copy; see :meth:`Treatment.begin`."""
        return operated(case, ResidualScale(per_channel=True), Where())


@treatment("rescale recurrent weights and train", "RNN001", cost=Cost.TRAINED)
class RecurrentRescaled(Treatment):
    """Recurrent weights get a spectral radius of 1; then training with clipped gradients."""

    recipe = GENTLE

    def begin(self, case: Case) -> Treated:
        """Return the changed copy; see :meth:`Treatment.begin`."""
        return operated(case, SpectralRadius(radius=1.0))
