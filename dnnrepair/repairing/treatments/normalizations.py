"""Normalizations where signals or gradients have lost their scale."""

from __future__ import annotations

from dataclasses import replace

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
from dnnrepair.swapping.operations.normalize import Normalize
from dnnrepair.swapping.operations.scale_input import ScaleInput
from dnnrepair.swapping.where import Where

_LOST = ("ACT003", "ACT005", "ACT006", "ACT007", "GRD", "RES")
_BROKEN = ("ACT001", "INI", "OUT002", "NUM", "WGT")


@treatment("insert batch norm and train", *_LOST, cost=Cost.TRAINED)
class BatchNormInserted(Treatment):
    """A batch norm behind each affine layer, at first without effect; then training."""

    recipe = GENTLE

    def begin(self, case: Case) -> Treated:
        """Return the changed copy; see :meth:`Treatment.begin`."""
        return operated(case, Normalize(kind="batch"), Where())


@treatment("insert batch norm and train afresh", *_LOST, *_BROKEN, cost=Cost.REDRAWN)
class BatchNormAfresh(Treatment):
    """A batch norm behind each affine layer, all weights drawn anew; then training."""

    recipe = AFRESH

    def begin(self, case: Case) -> Treated:
        """Return the changed copy; see :meth:`Treatment.begin`."""
        fresh = replace(case, subject=redrawn(case.subject, case.generator))
        found = operated(fresh, Normalize(kind="batch"), Where())
        return replace(
            found,
            subject=redrawn(found.subject, case.generator),
            done=(*found.done, DRAWN),
        )


@treatment("normalize input and train", "DAT001", cost=Cost.TRAINED)
class InputNormalized(Treatment):
    """Inputs are normalized inside the network; the first layer is rescaled to undo that.

    Then training goes on from nearly the same function.
    """

    recipe = GENTLE

    def begin(self, case: Case) -> Treated:
        """Return the changed copy; see :meth:`Treatment.begin`."""
        return operated(case, ScaleInput(), Where())


@treatment("normalize input and train afresh", "DAT001", cost=Cost.REDRAWN)
class InputNormalizedAfresh(Treatment):
    """Inputs are normalized inside the network, and all weights drawn anew; then training."""

    recipe = AFRESH

    def begin(self, case: Case) -> Treated:
        """Return the changed copy; see :meth:`Treatment.begin`."""
        fresh = replace(case, subject=redrawn(case.subject, case.generator))
        found = operated(fresh, ScaleInput(), Where())
        return replace(
            found,
            subject=redrawn(found.subject, case.generator),
            done=(*found.done, DRAWN),
        )
