"""Idle units taken out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dnnrepair.errors import DnnRepairError
from dnnrepair.swap_report import Promise, Swap
from dnnrepair.swapping.idle import Idle, cut_off, idle_units, without
from dnnrepair.swapping.measuring import example_of
from dnnrepair.swapping.operation import Edited, Operation, operation
from dnnrepair.swapping.units import PER_UNIT
from dnnrepair.swapping.where import listed

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dnnrepair.subject import Subject
    from dnnrepair.swapping.draft import Draft
    from dnnrepair.swapping.where import Where


@operation("prune")
@dataclass(frozen=True, kw_only=True)
class Prune(Operation):
    """Units that always say the same are removed, and the tensors become smaller.

    What they said goes into the biases of the layers that read them, so that no output on the data
    changes. Where the graph spells out sizes that would have to change, the units' weights become
    0 instead and the tensors keep their shapes.
    """

    needs_data = True

    def edit(
        self, draft: Draft, subject: Subject, where: Where, generator: torch.Generator
    ) -> Edited:
        """Remove them; see :meth:`Operation.edit`."""
        del generator
        found, skipped = idle_units(subject, where)
        exact = [cut_off(draft, subject, idle) for idle in found]
        reasons = list(skipped)
        smaller = 0
        for idle in reversed(found):
            if _removed(draft, subject, idle):
                smaller += len(idle.units)
            else:
                _silence(draft, idle)
                layer = idle.group.site.layer
                reasons.append(f"{layer}: its sizes are spelled out in the graph; weights set to 0")
        count = sum(len(idle.units) for idle in found)
        layers = tuple(dict.fromkeys(idle.group.site.layer for idle in found))
        swap = Swap(
            operation=self.name,
            layers=layers,
            summary=f"idle units of {listed(layers)} removed ({smaller} of {count} made tensors "
            "smaller)",
            promise=Promise.EXACT if all(exact) else Promise.CLOSEST,
            reason=""
            if all(exact)
            else "some of the units still said a little, or stand at a border",
            units=count,
        )
        return Edited(swaps=(swap,), skipped=tuple(dict.fromkeys(reasons)))


def _removed(draft: Draft, subject: Subject, idle: Idle) -> bool:
    """Make tensors smaller, unless the graph does not run with that."""
    before, structural = dict(draft.tensors), draft.structural
    group = idle.group
    draft.change(group.source.weight, _less(draft, group.source.weight, group.source.outputs, idle))
    if group.source.bias:
        draft.change(group.source.bias, _less(draft, group.source.bias, 0, idle))
    names = [group.norm.tensors.get(key) for key in PER_UNIT] if group.norm else []
    for name in filter(None, names):
        draft.change(name, _less(draft, name, 0, idle))
    for reader in group.readers:
        layer = reader.layer
        weight = without(draft.tensors[layer.weight], layer.inputs, reader.columns(idle.units))
        draft.change(layer.weight, weight)
    try:
        draft.program(example_of(subject))
    except (DnnRepairError, RuntimeError):
        draft.tensors, draft.structural = before, structural
        return False
    return True


def _less(draft: Draft, name: str, dim: int, idle: Idle) -> Tensor:
    return without(draft.tensors[name], dim, idle.units)


def _silence(draft: Draft, idle: Idle) -> None:
    """Set what makes the units to 0; nobody reads them any longer."""
    group, units = idle.group, list(idle.units)
    weight = draft.tensors[group.source.weight].clone()
    group.source.by_row(weight)[units] = 0
    draft.change(group.source.weight, weight)
    if group.source.bias:
        bias = draft.tensors[group.source.bias].clone()
        bias[units] = 0
        draft.change(group.source.bias, bias)
