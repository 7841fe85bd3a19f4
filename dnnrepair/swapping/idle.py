"""Units that say the same on all data: found, and cut off without a loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import SettingError
from dnnrepair.sites import Kind
from dnnrepair.swapping.measuring import example_of, values_of
from dnnrepair.swapping.units import Units
from dnnrepair.swapping.where import allowed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from dnnrepair.sites import Site
    from dnnrepair.subject import Subject
    from dnnrepair.swapping.draft import Draft
    from dnnrepair.swapping.where import Where


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Units of one activation that are to be cut off.

    Attributes:
        group: all units of the activation.
        units: the idle ones, from 0, ascending.
    """

    group: Units
    units: tuple[int, ...]


def idle_units(
    subject: Subject, where: Where
) -> tuple[tuple[Idle, ...], tuple[str, ...]]:
    """Return the units that are meant: those that a finding names, else those that never change.

    Args:
        subject: the network with its data.
        where: which layers.

    Returns:
        The units by activation, and why others were left alone.

    Raises:
        SettingError: there are none, or they cannot be cut off.
    """
    program = subject.running
    chosen = where.choose(program.sites, lambda s: s.kind is Kind.ACTIVATION, "activations")
    kept, skipped = allowed(subject, chosen, where)
    reasons, found = list(skipped), []
    constant = _constant(subject, kept)
    for site in kept:
        units = where.of_units(site)
        units = constant[site.name] if units is None else units
        try:
            if units:
                found.append(_idle(subject, site, units))
            elif where.named:
                reasons.append(f"{site.layer}: all its units change with the data")
        except SettingError as error:
            if where.named:
                raise
            reasons.append(str(error))
    if not found:
        message = "; ".join(dict.fromkeys(reasons)) or "no unit gives the same on all data"
        raise SettingError(message)
    return tuple(found), tuple(dict.fromkeys(reasons))


def _constant(subject: Subject, sites: Sequence[Site]) -> dict[str, tuple[int, ...]]:
    values = values_of(subject, subject.running, {site.name for site in sites})  # type: ignore[arg-type]
    return {
        name: tuple((rows.amax(0) == rows.amin(0)).nonzero()[:, 0].tolist())
        for name, rows in values.items()
    }


def _idle(subject: Subject, site: Site, units: tuple[int, ...]) -> Idle:
    group = Units.of(subject.running, site, example_of(subject))  # type: ignore[arg-type]
    return Idle(group=group, units=units)


def cut_off(draft: Draft, subject: Subject, idle: Idle) -> bool:
    """Let nobody read idle units any longer; readers' biases take over their mean.

    Returns:
        Whether no output changes on the data: each of the units always says the same there, and
        no zeros that a convolution pads with stand beside a unit that says something else.
    """
    exact = True
    for reader, low, high in _read(draft, subject, idle):
        columns = reader.columns(idle.units)
        mean = torch.zeros(len(reader.units), dtype=torch.float64)
        mean[columns] = (low[columns].double() + high[columns].double()) / 2
        layer = reader.layer
        exact &= bool((low[columns] == high[columns]).all())
        exact &= not (layer.pads and bool(mean.any()))
        weight = draft.tensors[layer.weight].clone()
        if layer.groups == 1:
            layer.shift(draft, layer.summed(weight.cpu(), mean).to(weight.device))
            layer.by_column(weight)[columns] = 0
        else:
            _cut_groups(draft, layer, weight, columns, mean)
        draft.change(layer.weight, weight)
    return exact


def _cut_groups(
    draft: Draft, layer, weight: Tensor, columns: Tensor, mean: Tensor  # noqa: ANN001
) -> None:
    message = f"{layer.site.layer} reads the units in groups, which is not supported"
    raise SettingError(message)


def _read(draft: Draft, subject: Subject, idle: Idle) -> Iterator[tuple]:  # type: ignore[type-arg]
    raise NotImplementedError
