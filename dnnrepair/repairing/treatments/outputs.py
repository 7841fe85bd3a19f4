"""What comes out of the network."""

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
from dnnrepair.swapping.operations.softmax import RemoveSoftmax
from dnnrepair.swapping.operations.temperature import Temperature
from dnnrepair.swapping.where import Where


@treatment("remove output activation and train", "OUT001", cost=Cost.TRAINED)
class OutputActivationRemoved(Treatment):
    """The softmax or sigmoid that the loss applies once more goes, and training goes on.

    The class of every input stays at first, but what was learned was learned against the wrong
    outputs: without training, confidence is not to be trusted.
    """

    recipe = GENTLE

    def begin(self, case: Case) -> Treated:
        """Return the changed copy; see :meth:`Treatment.begin`."""
        return operated(case, RemoveSoftmax(), Where())


@treatment("temperature", "OUT003", cost=Cost.EXACT)
class Tempered(Treatment):
    """Outputs are divided by the temperature that fits the data; no class changes."""

    def begin(self, case: Case) -> Treated:
        """Return the changed copy; see :meth:`Treatment.begin`."""
        return operated(case, Temperature(), Where())
