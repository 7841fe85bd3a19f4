"""Layers made wider: new units that begin as copies, and what reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import DnnRepairError, SettingError
from dnnrepair.swapping.affine import check_plain
from dnnrepair.swapping.measuring import example_of
from dnnrepair.swapping.units import PER_UNIT, Units, check_ungrouped
from dnnrepair.swapping.where import allowed, change_each, hidden_activations

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from dnnrepair.sites import Site
    from dnnrepair.subject import Subject
    from dnnrepair.swapping.draft import Draft
    from dnnrepair.swapping.units import Reader
    from dnnrepair.swapping.where import Where


def grow_each(
    draft: Draft, subject: Subject, where: Where, grow: Callable[[Units], None]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Grow the layers before activations, one after the other.

    Args:
        draft: to be changed.
        subject: the network as it was.
        where: which layers.
        grow: makes one of them wider, given its units as they are then.

    Returns:
        The layers that are wider now, and why others are not.

    Raises:
        SettingError: none can be, or one that the user named cannot.
    """
    kept, skipped = allowed(subject, hidden_activations(subject.running.sites, where), where)
    done, reasons = change_each(
        kept, skipped, where, lambda site: grow(_units(draft, subject, site))
    )
    return tuple(dict.fromkeys(site.layer or site.name for site in done)), reasons


def widen(
    draft: Draft, subject: Subject, group: Units, copies: Sequence[int], given: float
) -> Units:
    """Add units that begin as copies of others, and return all units then.

    No output changes if the numbers that a unit and its copies are read with add up to 1.

    Args:
        draft: to be changed; it stays as it is if that cannot be.
        subject: the network as it was.
        group: the units as they are.
        copies: for each new unit, the one that it copies; each unit at most once if ``given`` is
            not 0.
        given: factor of the copied unit's outgoing weights that a new unit gets; the copied one
            keeps the rest.

    Raises:
        SettingError: the graph spells sizes out, or other tensors go by unit.
    """
    before, structural = dict(draft.tensors), draft.structural
    width, source = group.site.width, group.source
    origins = torch.tensor([*range(width), *copies])
    factors = torch.ones(len(origins), dtype=torch.float64)
    factors[list(copies)] = 1 - given
    factors[width:] = given
    try:
        check_plain(draft, source.weight, source.bias, *(r.layer.weight for r in group.readers))
        _take(draft, source.weight, source.outputs, origins)
        names = [group.norm.tensors.get(key) for key in PER_UNIT] if group.norm else []
        for name in filter(None, [source.bias, *names]):
            _take(draft, name, 0, origins)
        for reader in group.readers:  # sizes first: where a new unit arrives is seen afterwards
            repeated = torch.arange(len(reader.units) // width * len(origins)) % len(reader.units)
            _take(draft, reader.layer.weight, reader.layer.inputs, repeated)
        found = _units(draft, subject, group.site)
        for old, new in zip(group.readers, found.readers, strict=True):
            weight = before[old.layer.weight]
            places = _copied_from(old, new, origins).to(weight.device)
            columns = old.layer.by_column(weight.index_select(old.layer.inputs, places).double())
            scale = factors[new.units].reshape(-1, *[1] * (columns.dim() - 1)).to(weight.device)
            draft.change(old.layer.weight, (columns * scale).movedim(0, old.layer.inputs))
    except (DnnRepairError, RuntimeError) as error:
        draft.tensors, draft.structural = before, structural
        name = group.site.layer or group.site.name
        message = f"{name}: its number of units is spelled out, or other tensors go by it"
        raise SettingError(message) from error
    return found


def _units(draft: Draft, subject: Subject, site: Site) -> Units:
    example = example_of(subject)
    program = draft.program(example)
    found = Units.of(program, program.sites[site.name], example)
    check_ungrouped(found)
    return found


def _take(draft: Draft, name: str, dim: int, places: Tensor) -> None:
    value = draft.tensors[name]
    draft.change(name, value.index_select(dim, places.to(value.device)))


def _copied_from(old: Reader, new: Reader, origins: Tensor) -> Tensor:
    """Return for each input of a wider layer the input that it begins as, int64.

    The j-th input from a unit (its j-th position in an image) begins as the j-th input from the
    unit that it copies.
    """
    by_unit = old.units.argsort(stable=True).reshape(int(old.units.max()) + 1, -1)
    found = torch.empty_like(new.units)
    found[new.units.argsort(stable=True)] = by_unit[origins].flatten()
    return found
