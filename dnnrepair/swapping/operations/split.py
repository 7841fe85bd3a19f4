"""Units split in two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import SettingError
from dnnrepair.swap_report import Promise, Swap
from dnnrepair.swapping.growing import grow_each, widen
from dnnrepair.swapping.operation import Edited, Operation, operation
from dnnrepair.swapping.where import listed

if TYPE_CHECKING:
    from dnnrepair.subject import Subject
    from dnnrepair.swapping.draft import Draft
    from dnnrepair.swapping.units import Units
    from dnnrepair.swapping.where import Where

_HALF = 0.5


@operation("split")
@dataclass(frozen=True, kw_only=True)
class Split(Operation):
    """Hidden units get a copy, and share their outgoing weights with it.

    Those that weigh most in the layers behind are split, or of those that a finding names. No
    output changes (Net2WiderNet of Chen, Goodfellow and Shlens 2016, arXiv:1511.05641). Halves get
    the same gradients and learn alike until something tells them apart, such as dropout; with
    another share they part by themselves.
    """

    count: int = 1  # units that are split in each layer, at least 1
    share: float = _HALF  # of the outgoing weights that the copy gets, in (0, 1)

    def edit(
        self, draft: Draft, subject: Subject, where: Where, generator: torch.Generator
    ) -> Edited:
        """Split them; see :meth:`Operation.edit`."""
        del generator
        if not 0 < self.share < 1:
            message = f"a split takes a share in (0, 1), not {self.share:g}"
            raise SettingError(message)

        def grow(group: Units) -> None:
            units = _heaviest(draft, group, where.of_units(group.site), self.count)
            widen(draft, subject, group, units, self.share)

        layers, skipped = grow_each(draft, subject, where, grow)
        alike = "a unit and its copy learn alike until dropout or another share tells them apart"
        swap = Swap(
            operation=self.name,
            layers=layers,
            summary=f"in each of {listed(layers)} units split in two: {self.count}",
            settings=(f"count = {self.count}", f"share = {self.share:g}"),
            promise=Promise.EXACT,
            reason=alike if self.share == _HALF else "",
            units=self.count * len(layers),
        )
        return Edited(swaps=(swap,), skipped=skipped)


def _heaviest(
    draft: Draft, group: Units, among: tuple[int, ...] | None, count: int
) -> tuple[int, ...]:
    """Return the units with the longest outgoing weights, of all or among some.

    Raises:
        SettingError: there are fewer.
    """
    width = group.site.width
    units = torch.tensor(range(width) if among is None else among)
    if count > len(units):
        message = f"{group.site.layer}: {count} of {len(units)} units cannot be split"
        raise SettingError(message)
    squares = torch.zeros(width, dtype=torch.float64)
    for reader in group.readers:
        columns = reader.layer.by_column(draft.tensors[reader.layer.weight].double().cpu())
        squares.index_add_(0, reader.units, columns.flatten(1).square().sum(1))
    found: list[int] = units[squares[units].topk(count).indices].sort().values.tolist()
    return tuple(found)
