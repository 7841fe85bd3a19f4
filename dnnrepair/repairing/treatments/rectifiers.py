"""Units out of reach of the gradient."""

from __future__ import annotations

from dataclasses import replace

from dnnrepair.errors import SettingError
from dnnrepair.repairing.recipes import AFRESH, GENTLE
from dnnrepair.repairing.redrawing import DRAWN, redrawn
from dnnrepair.repairing.treatment import (
    Case,
    Cost,
    Treated,
    Treatment,
    operated,
    treatment,
)
from dnnrepair.sites import Kind
from dnnrepair.swapping.operations.activation import ReplaceActivation
from dnnrepair.swapping.operations.revive import Revive
from dnnrepair.swapping.where import Where


@treatment("revive units and train", "ACT001", cost=Cost.TRAINED)
class Revived(Treatment):
    """Incoming weights of dead units are drawn anew, outgoing ones begin at zero; then training.

    No output changes at first: a unit that never fires passes nothing on before, and nothing after.
    """

    recipe = GENTLE

    def begin(self, case: Case) -> Treated:
        """Return the changed copy; see :meth:`Treatment.begin`."""
        return operated(case, Revive())


@treatment("prelu graft and train", "ACT001", cost=Cost.TRAINED)
class PReluGrafted(Treatment):
    """ReLUs become PReLUs of slope 0, which are the same function and pass a gradient on.

    The slope's own gradient is the input where that is negative, so that dead units can come back
    (catalogue of techniques: "dead ReLU").
    """

    recipe = GENTLE

    def begin(self, case: Case) -> Treated:
        """Return the changed copy; see :meth:`Treatment.begin`."""
        return operated(case, ReplaceActivation(new="prelu", old="relu"))


@treatment("elu and train afresh", "ACT003", "GRD001", cost=Cost.REDRAWN)
class Rectified(Treatment):
    """ELU takes the place of sigmoid and tanh, and all weights are drawn anew; then training."""

    recipe = AFRESH

    def begin(self, case: Case) -> Treated:
        """Return the changed copy; see :meth:`Treatment.begin`."""
        ops = {site.op for site in case.subject.running.sites.of(Kind.ACTIVATION)}
        found = Treated(subject=case.subject, done=())
        for old in sorted(ops & {"sigmoid", "tanh"}):
            swap = ReplaceActivation(new="elu", old=old, mode="plain")
            more = operated(replace(case, subject=found.subject), swap, Where())
            found = replace(more, done=(*found.done, *more.done), swaps=(*found.swaps, *more.swaps))
        if not found.swaps:
            message = "no activation is a sigmoid or tanh"
            raise SettingError(message)
        fresh = redrawn(found.subject, case.generator)
        return replace(found, subject=fresh, done=(*found.done, DRAWN))
