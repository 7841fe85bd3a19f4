"""Patched weights of operations that are linear in their weights.

Such an operation's output is that of the unpatched network plus, for every patched weight, its
change times a *plane*: what the operation answers to that weight alone, at the one output unit
that the weight feeds. Planes do not depend on the candidate. This is exact, and its cost does not
depend on how wide the layer is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import prod
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dnnrepair.population.values import Sparse, Streamed, pick

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dnnrepair.population.call import Call
    from dnnrepair.population.values import Shared

LARGE = 1024  # numbers of one input that changed units have in all: fewer stay in the cache


@dataclass(frozen=True, slots=True)
class Patched:
    """One patched weight as an operation sees it.

    Attributes:
        column: of the candidates' values.
        unit: which output unit it feeds.
        plane: returns the plane ``others`` from the unpatched network's input.
    """

    column: int
    unit: int
    plane: Callable[[Tensor], Tensor]


def sparse_response(
    call: Call, source: Shared, patched: Sequence[Patched], dim: int
) -> Sparse | Streamed:
    """Return the output of an operation with a shared input and patched weights.

    Args:
        call: the operation.
        source: its input.
        patched: its patched weights.
        dim: the output dimension that counts units, from 0.
    """
    layout: Layout = call.constant("layout", lambda: Layout.of(patched))
    if not (call.streams and call.constant("large", lambda: _is_large(call.out, layout, dim))):
        return _response(call, source, layout, dim)
    alone: list[Layout] = call.constant("layouts", lambda: list(layout.by_unit()))
    parts = (_response(call, source, one, dim) for one in alone)
    return Streamed(tuple(parts) if call.frame.recording else parts)


def _is_large(out: Shared, layout: Layout, dim: int) -> bool:
    positions = prod(out.shape[1:]) // out.shape[dim]
    return len(layout.units) > 1 and len(layout.units) * positions > LARGE


def _response(call: Call, source: Shared, layout: Layout, dim: int) -> Sparse:
    units = call.frame.constants.index(layout.units)
    base = call.out.derived((layout.units, dim, 1), lambda v: pick(v, units, dim, 1))
    values: Tensor | None = None
    for rank, group in enumerate(layout.ranks):
        planes = source.derived((call.name, layout.units, rank), partial(_planes, group))
        change = call.chunk.column_last(call.frame.constants.index(layout.columns[rank]))
        change = change.view(*change.shape, *(1 for _ in planes.shape[1:]))
        if values is None:
            values = torch.addcmul(base.unsqueeze(1), change, planes.unsqueeze(1))
        else:
            values[: len(group)].addcmul_(change, planes.unsqueeze(1))
    assert values is not None  # some weight is patched  # noqa: S101
    return Sparse(values, layout.units, call.out, dim)


def _planes(group: Sequence[Patched], source: Tensor) -> Tensor:
    return torch.stack([weight.plane(source) for weight in group])


@dataclass(frozen=True, slots=True)
class Layout:
    """Patched weights in an order in which each pass adds one weight to every unit it touches.

    Attributes:
        units: those with most patched weights first.
        ranks: the r-th patched weight of each unit that has as many, in the order of ``units``.
        columns: of the candidates' values, for each rank.
    """

    units: tuple[int, ...]
    ranks: tuple[tuple[Patched, ...], ...]
    columns: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, patched: Sequence[Patched]) -> Layout:
        """Arrange patched weights."""
        by_unit: dict[int, list[Patched]] = {}
        for weight in patched:
            by_unit.setdefault(weight.unit, []).append(weight)
        units = tuple(sorted(by_unit, key=lambda unit: (-len(by_unit[unit]), unit)))
        ranks = tuple(
            tuple(by_unit[unit][rank] for unit in units if len(by_unit[unit]) > rank)
            for rank in range(len(by_unit[units[0]]))
        )
        columns = tuple(tuple(weight.column for weight in rank) for rank in ranks)
        return cls(units, ranks, columns)

    def by_unit(self) -> Iterator[Layout]:
        """Yield a layout for each unit."""
        for place in range(len(self.units)):
            yield Layout.of([rank[place] for rank in self.ranks if len(rank) > place])

    @property
    def order(self) -> tuple[int, ...]:
        """The columns of the candidates' values that this operation takes, ascending."""
        return tuple(sorted(column for rank in self.columns for column in rank))

    @property
    def slots(self) -> Tensor:
        """The place in ``units`` of the unit that each of these columns feeds."""
        slot = {column: place for rank in self.columns for place, column in enumerate(rank)}
        return torch.tensor([slot[column] for column in self.order])


def add_responses(
    values: Tensor, source: Tensor, patched: Sequence[Patched], change: Tensor, dim: int
) -> Tensor:
    """Add the planes of a varying input to a dense output, in place.

    Args:
        values: the output with unpatched weights, ``(p, *shape)``.
        source: the input, in a shape of which ``plane`` makes ``(p, *others)``.
        patched: the patched weights.
        change: of all weights, ``(p, k)``.
        dim: the output dimension that counts units, from 0, of ``shape``.
    """
    for weight in patched:
        plane = weight.plane(source)
        factor = change[:, weight.column].to(values.dtype)
        view = values.select(dim + 1, weight.unit)
        view.addcmul_(factor.view(-1, *(1 for _ in view.shape[1:])), plane)
    return values
