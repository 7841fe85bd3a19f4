"""Dead units brought back to life."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.swap_report import Promise, Swap
from dnnrepair.swapping.idle import Idle, cut_off, idle_units
from dnnrepair.swapping.operation import Edited, Operation, operation
from dnnrepair.swapping.spread import given
from dnnrepair.swapping.where import listed

if TYPE_CHECKING:
    from typing import Any

    from torch import Tensor

    from dnnrepair.sites import Site
    from dnnrepair.subject import Subject
    from dnnrepair.swapping.draft import Draft
    from dnnrepair.swapping.where import Where

_LEAST = 1e-12  # standard deviation that can be scaled to 1


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


def redraw(draft: Draft, subject: Subject, idle: Idle, generator: torch.Generator) -> None:
    """Give units incoming weights with which they are 0 on average, with deviation 1."""
    source, norm, units = idle.group.source, idle.group.norm, list(idle.units)
    weight = draft.tensors[source.weight].clone()
    rows = source.by_row(weight)
    drawn = torch.randn(rows[units].shape, generator=generator, dtype=torch.float64)
    rows[units] = (drawn / drawn[0].numel() ** 0.5).to(rows)
    draft.change(source.weight, weight)
    if source.bias:
        bias = draft.tensors[source.bias].clone()
        bias[units] = 0
        draft.change(source.bias, bias)
    seen = given(subject, source.site, draft.program())
    mean, std = seen.mean[units], seen.variance[units].sqrt().clamp(min=_LEAST)
    weight = draft.tensors[source.weight].clone()
    rows = source.by_row(weight)
    shape = [-1] + [1] * (rows.dim() - 1)
    rows[units] = (rows[units].double().cpu() / std.reshape(shape)).to(rows)
    draft.change(source.weight, weight)
    if norm is not None:
        _standard(draft, norm, units, mean / std)
    else:
        shift = torch.zeros_like(seen.mean)
        shift[units] = -mean / std
        source.shift(draft, shift.to(weight.device))


def _standard(draft: Draft, norm: Site, units: list[int], mean: Tensor) -> None:
    """Let a batch norm give what it reads less its mean."""
    scale = (1.0 + float(norm.setting("eps", 0.0))) ** 0.5  # also where eps drowns the variance
    wanted: dict[str, Any] = {
        "weight": scale, "bias": 0.0, "running_mean": mean, "running_var": 1.0,
    }  # fmt: skip
    for key, value in wanted.items():
        if key in norm.tensors:
            changed = draft.tensors[norm.tensors[key]].clone()
            changed[units] = torch.as_tensor(value).to(changed)
            draft.change(norm.tensors[key], changed)
