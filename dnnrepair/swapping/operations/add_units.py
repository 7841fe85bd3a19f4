"""New units that nobody reads yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dnnrepair.swap_report import Promise, Swap
from dnnrepair.swapping.growing import grow_each, widen
from dnnrepair.swapping.idle import Idle, redraw
from dnnrepair.swapping.operation import Edited, Operation, operation
from dnnrepair.swapping.where import listed

if TYPE_CHECKING:
    import torch

    from dnnrepair.subject import Subject
    from dnnrepair.swapping.draft import Draft
    from dnnrepair.swapping.units import Units
    from dnnrepair.swapping.where import Where


@operation("add-units")
@dataclass(frozen=True, kw_only=True)
class AddUnits(Operation):
    """Hidden layers get more units, whose outgoing weights are 0 until training raises them.

    Incoming weights are drawn anew and scaled so that the unit's pre-activation has mean 0 and
    deviation 1 on the data, so that its outgoing weights have a gradient. No output changes.
    """

    needs_data = True
    count: int = 1  # units that each layer gets, at least 1

    def edit(
        self, draft: Draft, subject: Subject, where: Where, generator: torch.Generator
    ) -> Edited:
        """Add them; see :meth:`Operation.edit`."""

        def grow(group: Units) -> None:
            width = group.site.width
            wider = widen(draft, subject, group, (0,) * self.count, 0.0)
            added = Idle(group=wider, units=tuple(range(width, width + self.count)))
            redraw(draft, subject, added, generator)

        layers, skipped = grow_each(draft, subject, where, grow)
        swap = Swap(
            operation=self.name,
            layers=layers,
            summary=f"in each of {listed(layers)} units added: {self.count}; nobody reads them yet",
            settings=(f"count = {self.count}",),
            promise=Promise.EXACT,
            units=self.count * len(layers),
        )
        return Edited(swaps=(swap,), skipped=skipped)
