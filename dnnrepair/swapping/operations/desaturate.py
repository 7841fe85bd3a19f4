"""Saturated units brought back to where they learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import SettingError
from dnnrepair.swap_report import Promise, Swap
from dnnrepair.swapping.affine import check_plain
from dnnrepair.swapping.measuring import example_of
from dnnrepair.swapping.operation import Edited, Operation, operation
from dnnrepair.swapping.spread import some_inputs
from dnnrepair.swapping.units import Units, check_ungrouped
from dnnrepair.swapping.where import allowed, listed

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.sites import Site
    from dnnrepair.subject import Subject
    from dnnrepair.swapping.draft import Draft
    from dnnrepair.swapping.where import Where

# |z| from which the slope is below 5 % of its largest value
_FLAT = {"tanh": 2.18, "sigmoid": 4.36}
_LEAST = 1e-6  # spread of a pre-activation that can be brought to another


@operation("desaturate")
@dataclass(frozen=True, kw_only=True)
class Desaturate(Operation):
    """Pre-activations of saturated tanh and sigmoid units are scaled down and centered.

    A unit's incoming weights and bias are changed so that its pre-activation has mean 0 and a
    deviation at half of where the function gets flat; the layers that read it are changed by the
    least-squares line from the new values to the old ones. The function is kept as nearly as one
    line can; a unit that saturates on one side only loses almost nothing.
    """

    needs_data = True
    share: float = 0.5  # of samples in the flat part from which a unit counts as saturated

    def edit(
        self, draft: Draft, subject: Subject, where: Where, generator: torch.Generator
    ) -> Edited:
        """Scale them; see :meth:`Operation.edit`."""
        del generator
        sites = subject.running.sites
        chosen = where.choose(sites, lambda s: s.op in _FLAT, "tanh or sigmoid activations")
        kept, skipped = allowed(subject, chosen, where)
        reasons, done, count = list(skipped), [], 0
        seen = some_inputs(subject, kept)
        for site in kept:
            try:
                units = self._saturated(site, seen[site.name], where.of_units(site))
                if units:
                    _rescale(draft, subject, site, seen[site.name].double(), units)
            except SettingError as error:
                if where.named:
                    raise
                reasons.append(str(error))
            else:
                done += [site.layer] * bool(units)
                count += len(units)
        if not done:
            raise SettingError("; ".join(dict.fromkeys(reasons)) or "no unit is saturated")
        swap = Swap(
            operation=self.name,
            layers=tuple(dict.fromkeys(done)),
            summary=f"saturated units of {listed(done)} scaled down, their readers adjusted",
            settings=(f"share = {self.share:g}",),
            promise=Promise.CLOSEST,
            reason="by the least-squares line of each unit",
            units=count,
        )
        return Edited(swaps=(swap,), skipped=tuple(dict.fromkeys(reasons)))

    def _saturated(self, site: Site, z: Tensor, named: tuple[int, ...] | None) -> list[int]:
        varies = z.double().std(0) > _LEAST
        if named is not None:
            return [unit for unit in named if varies[unit]]
        flat = (z.abs() > _FLAT[site.op]).double().mean(0) > self.share
        found: list[int] = (flat & varies).nonzero()[:, 0].tolist()
        return found


def _rescale(draft: Draft, subject: Subject, site: Site, z: Tensor, units: list[int]) -> None:
    group = Units.of(subject.running, site, example_of(subject))
    check_ungrouped(group)
    scale, shift = torch.ones(z.shape[1]).double(), torch.zeros(z.shape[1]).double()
    std, mean = z[:, units].std(0), z[:, units].mean(0)
    scale[units] = (_FLAT[site.op] / 2) / std
    shift[units] = -mean * scale[units]
    function = torch.tanh if site.op == "tanh" else torch.sigmoid
    slope, offset = _line(function(z * scale + shift), function(z), units)
    _change_source(draft, group, scale, shift)
    for reader in group.readers:
        layer = reader.layer
        check_plain(draft, layer.weight, layer.bias)
        weight = draft.tensors[layer.weight].clone()
        added = layer.summed(weight.cpu(), offset[reader.units])
        by_column = layer.by_column(weight)
        factors = slope[reader.units].reshape(-1, *[1] * (by_column.dim() - 1))
        by_column *= factors.to(weight)
        draft.change(layer.weight, weight)
        layer.shift(draft, added.to(weight.device))


def _line(new: Tensor, old: Tensor, units: list[int]) -> tuple[Tensor, Tensor]:
    """Return slope and offset, ``(units,)``, of the lines from new values to old ones."""
    slope, offset = torch.ones(new.shape[1]).double(), torch.zeros(new.shape[1]).double()
    x, y = new[:, units], old[:, units]
    covariance = ((x - x.mean(0)) * (y - y.mean(0))).mean(0)
    slope[units] = covariance / x.var(0, correction=0)
    offset[units] = y.mean(0) - slope[units] * x.mean(0)
    return slope, offset


def _change_source(draft: Draft, group: Units, scale: Tensor, shift: Tensor) -> None:
    """Let ``z`` become ``scale z + shift``, in the batch norm if there is one."""
    norm, source = group.norm, group.source
    if norm is not None:
        names = [norm.tensors.get(key, "") for key in ("weight", "bias")]
        if not all(names):
            message = f"{norm.layer} has no weight and bias to adjust"
            raise SettingError(message)
        weight, bias = (draft.tensors[name].double() for name in names)
        draft.change(names[0], weight * scale.to(weight.device))
        draft.change(names[1], bias * scale.to(bias.device) + shift.to(bias.device))
        return
    check_plain(draft, source.weight, source.bias)
    weight = draft.tensors[source.weight].double()
    draft.change(source.weight, source.scaled_rows(weight, scale.to(weight.device)))
    if source.bias:
        bias = draft.tensors[source.bias].double()
        draft.change(source.bias, bias * scale.to(bias.device))
    source.shift(draft, shift.to(weight.device))
