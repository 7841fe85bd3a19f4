"""Units that say the same on all data: found, cut off without a loss, and drawn anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import SettingError
from dnnrepair.sites import Kind
from dnnrepair.swapping.affine import check_plain
from dnnrepair.swapping.measuring import example_of
from dnnrepair.swapping.spread import given, inputs, outputs
from dnnrepair.swapping.units import Units, check_ungrouped
from dnnrepair.swapping.where import allowed

if TYPE_CHECKING:
    from typing import Any

    from torch import Tensor

    from dnnrepair.sites import Site
    from dnnrepair.subject import Subject
    from dnnrepair.swapping.draft import Draft
    from dnnrepair.swapping.where import Where

_LEAST = 1e-12  # standard deviation that can be scaled to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Units of one activation that are to be cut off.

    Attributes:
        group: all units of the activation.
        units: the idle ones, from 0, ascending.
    """

    group: Units
    units: tuple[int, ...]


def idle_units(subject: Subject, where: Where) -> tuple[tuple[Idle, ...], tuple[str, ...]]:
    """Return the units that are meant: those that a finding names, else those that never change.

    Args:
        subject: the network with its data.
        where: which layers.

    Returns:
        The units by activation, and why others were left alone.

    Raises:
        SettingError: there are none, or they cannot be cut off.
    """
    sites = subject.running.sites
    chosen = where.choose(sites, lambda site: site.kind is Kind.ACTIVATION, "activations")
    kept, skipped = allowed(subject, chosen, where)
    reasons, found = list(skipped), []
    seen = outputs(subject, kept)
    for site in kept:
        units = where.of_units(site)
        if units is None:
            units = tuple(seen[site.name].constant.nonzero()[:, 0].tolist())
        try:
            if units:
                found.append(_checked(subject, site, units))
            elif where.named:
                reasons.append(f"{site.layer}: all its units change with the data")
        except SettingError as error:
            if where.named:
                raise
            reasons.append(str(error))
    if not found:
        message = "; ".join(dict.fromkeys(reasons)) or "every unit changes with the data"
        raise SettingError(message)
    return tuple(found), tuple(dict.fromkeys(reasons))


def _checked(subject: Subject, site: Site, units: tuple[int, ...]) -> Idle:
    program = subject.running
    group = Units.of(program, site, example_of(subject))
    if len(units) >= site.width:
        message = f"{site.layer}: all its {site.width} units are idle; re-draw the layer (--init)"
        raise SettingError(message)
    check_ungrouped(group)
    return Idle(group=group, units=units)


def cut_off(draft: Draft, subject: Subject, idle: Idle) -> bool:
    """Let nobody read idle units any longer; readers' biases take over what they say on average.

    Returns:
        Whether no output changes on the data: each of the units always says the same there, and
        what it says is 0 where a convolution pads with zeros.
    """
    exact = True
    layers = [reader.layer for reader in idle.group.readers]
    seen = inputs(subject, layers)
    for reader in idle.group.readers:
        layer, found = reader.layer, seen[reader.layer.site.name]
        check_plain(draft, layer.weight, layer.bias)
        columns = reader.columns(idle.units)
        mean = torch.zeros_like(found.mean)
        mean[columns] = found.mean[columns]
        exact &= bool(found.constant[columns].all()) and not (layer.pads and bool(mean.any()))
        weight = draft.tensors[layer.weight].clone()
        shift = layer.summed(weight.cpu(), mean)
        layer.shift(draft, shift.to(weight.device))
        layer.by_column(weight)[columns] = 0
        draft.change(layer.weight, weight)
    return exact


def without(values: Tensor, dim: int, places: Tensor | tuple[int, ...]) -> Tensor:
    """Return a tensor without some places of a dimension."""
    kept = torch.ones(values.shape[dim], dtype=torch.bool)
    kept[list(places) if isinstance(places, tuple) else places] = False
    return values.index_select(dim, kept.nonzero()[:, 0].to(values.device))


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
