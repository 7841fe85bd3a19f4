"""Units out of reach of the gradient."""

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
from dnnrepair.swapping.operations.revive import Revive


@treatment("revive units and train", "ACT001", cost=Cost.TRAINED)
class Revived(Treatment):
    """Incoming weights of dead units are drawn anew, outgoing ones begin at zero; then training.

    No output changes at first: a unit that never fires passes nothing on before, and nothing after.
    """

    recipe = GENTLE

    def begin(self, case: Case) -> Treated:
        """Return the changed copy; see :meth:`Treatment.begin`."""
        return operated(case, Revive())
