"""Running statistics of batch norms."""

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
from dnnrepair.swapping.operations.reestimate import ReestimateStatistics
from dnnrepair.swapping.where import Where


@treatment("re-estimate statistics", "BN001", "BN002", "BN004", cost=Cost.EXACT)
class Reestimated(Treatment):
    """Running means and variances of all batch norms become those of the data; weights stay."""

    def begin(self, case: Case) -> Treated:
        """Return the changed copy; see :meth:`Treatment.begin`."""
        return operated(case, ReestimateStatistics(), Where())


@treatment("re-estimate and train", "BN", cost=Cost.TRAINED)
class ReestimatedAndTrained(Treatment):
    """Running statistics become those of the data, and training goes on in small steps."""

    recipe = GENTLE

    def begin(self, case: Case) -> Treated:
        """Return the changed copy; see :meth:`Treatment.begin`."""
        return operated(case, ReestimateStatistics(), Where())
