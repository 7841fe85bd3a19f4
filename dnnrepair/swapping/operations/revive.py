"""Dead units brought back to life."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dnnrepair.swap_report import Promise, Swap
from dnnrepair.swapping.idle import cut_off, idle_units, redraw
from dnnrepair.swapping.operation import Edited, Operation, operation
from dnnrepair.swapping.where import listed

if TYPE_CHECKING:
    import torch

    from dnnrepair.subject import Subject
    from dnnrepair.swapping.draft import Draft
    from dnnrepair.swapping.where import Where


@operation("revive")
@dataclass(frozen=True, kw_only=True)
class Revive(Operation):
    """Units that always say the same get fresh incoming weights, and nobody reads them yet.

    Incoming weights are drawn anew and scaled so that the unit's pre-activation has mean 0 and
    deviation 1 on the data; outgoing weights become 0, and training finds a use for the unit. What
    a unit said all the time goes into the biases of the layers that read it, so that no output on
    the data changes. Units that say nearly the same (in a coma) leave a small change, measured.
    Other units are not touched.
    """

    needs_data = True

    def edit(
        self, draft: Draft, subject: Subject, where: Where, generator: torch.Generator
    ) -> Edited:
        """Revive them; see :meth:`Operation.edit`."""
        found, skipped = idle_units(subject, where)
        exact = [cut_off(draft, subject, idle) for idle in found]
        for idle in found:  # upstream first: what a later layer reads is settled before its turn
            redraw(draft, subject, idle, generator)
        count = sum(len(idle.units) for idle in found)
        layers = tuple(idle.group.site.layer for idle in found)
        swap = Swap(
            operation=self.name,
            layers=tuple(dict.fromkeys(layers)),
            summary=f"idle units of {listed(layers)} re-drawn; nobody reads them yet",
            promise=Promise.EXACT if all(exact) else Promise.CLOSEST,
            reason=""
            if all(exact)
            else "some of the units still said a little, or stand at a border",
            units=count,
        )
        return Edited(swaps=(swap,), skipped=skipped)
