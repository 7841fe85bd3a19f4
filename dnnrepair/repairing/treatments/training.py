"""Training as it should have been."""

from __future__ import annotations

from dnnrepair.repairing.recipes import AFRESH, GENTLE
from dnnrepair.repairing.redrawing import DRAWN, redrawn
from dnnrepair.repairing.treatment import Case, Cost, Treated, Treatment, treatment

_ANY = ("ACT", "DAT", "GRD", "OUT002", "OUT003", "LN", "RES", "RNN", "ATT")


@treatment("lower rate and clipping", *_ANY, "BN", cost=Cost.TRAINED)
class Gentle(Treatment):
    """Training goes on at a low learning rate, with gradients clipped."""

    recipe = GENTLE

    def begin(self, case: Case) -> Treated:
        """Return the changed copy; see :meth:`Treatment.begin`."""
        return Treated(subject=case.subject, done=())


@treatment("train afresh", *_ANY, "BN", "EMB", "INI", "NUM", "OUT001", "WGT", cost=Cost.REDRAWN)
class Afresh(Treatment):
    """All weights are drawn anew, each for the activation behind it; then training."""

    recipe = AFRESH

    def begin(self, case: Case) -> Treated:
        """Return the changed copy; see :meth:`Treatment.begin`."""
        return Treated(subject=redrawn(case.subject, case.generator), done=(DRAWN,))
