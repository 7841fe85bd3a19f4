"""The kinds of value that stand in the suffix for one value of the unpatched network.

``p`` candidates are evaluated together. A value has the shape that it has in the unpatched network
run on one block of inputs; kinds differ in how they hold its p versions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from dnnrepair.population.frame import Chunk, Frame


@dataclass(frozen=True, slots=True)
class Shared:
    """The same for every candidate: a value of the unpatched network, fetched when asked for.

    Attributes:
        frame: the block of inputs.
        names: of the nodes that hold it; two where one overwrote the other in place.
        key: under which it is kept; differs from the name once the node was overwritten in place.
    """

    frame: Frame
    names: tuple[str, ...]
    key: str

    def read(self, live: Mapping[str, Any]) -> Any:  # noqa: ANN401 - tensors, sizes and tuples
        """Return the value from those of the unpatched network."""
        return next(live[name] for name in self.names if name in live)

    def whole(self) -> Any:  # noqa: ANN401 - tensors, sizes and tuples
        """Return the value."""
        return self.frame.get(self.key, lambda live: self._laid_out(self.read(live)))

    def _laid_out(self, value: Any) -> Any:  # noqa: ANN401 - as above
        if self.frame.constants.channels_last and isinstance(value, Tensor) and value.dim() == 4:  # noqa: PLR2004
            return value.contiguous(memory_format=torch.channels_last)
        return value

    def derived(self, purpose: Hashable, make: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - as above
        """Return what ``make`` gives for the value, computed once per block."""
        return self.frame.get((self.key, purpose), lambda live: make(self.read(live)))

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape; () if it is no tensor."""
        found: tuple[int, ...] = self.derived("shape", lambda v: tuple(getattr(v, "shape", ())))
        return found


@dataclass(frozen=True, slots=True)
class Edited:
    """A parameter, or a view of one, some of whose entries the candidates set.

    Attributes:
        base: the unpatched values.
        flat: positions that are set, in row-major order.
        columns: which column of a candidate's values each of them takes.
        key: names it.
    """

    base: Tensor
    flat: tuple[int, ...]
    columns: tuple[int, ...]
    key: str

    @property
    def indices(self) -> list[tuple[int, ...]]:
        """The positions that are set, as one number per dimension."""
        places = torch.tensor(self.flat)
        return [
            tuple(map(int, i))
            for i in zip(*torch.unravel_index(places, self.base.shape), strict=True)
        ]

    def dense(self, frame: Frame, chunk: Chunk) -> Tensor:
        """Return one tensor per candidate, ``(p, *shape)``."""
        shape = (len(chunk), *self.base.shape)
        full = self.base.expand(shape).clone(memory_format=torch.contiguous_format)
        flat = frame.constants.index(self.flat)
        columns = frame.constants.index(self.columns)
        full.view(len(chunk), -1)[:, flat] = chunk.values[:, columns].to(full.dtype)
        return full


@dataclass(frozen=True, slots=True)
class Sparse:
    """The unpatched value but for some units.

    Units come first in memory: what follows is elementwise or reduces over units, and torch runs
    both several times faster along long contiguous rows of inputs than along ten classes.

    Attributes:
        values: of the changed units, ``(u, p, *others)``: ``others`` is the value's shape without
            the units' dimension, with ``span`` appended if that is not 1.
        units: which units changed, each once, in any order.
        base: the unpatched value.
        dim: its dimension that counts units, from 0.
        span: how many neighbouring entries along ``dim`` make one unit (positions of a channel,
            after they were flattened).
    """

    values: Tensor
    units: tuple[int, ...]
    base: Shared
    dim: int
    span: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one version."""
        return self.base.shape

    @property
    def width(self) -> int:
        """How many units there are."""
        return self.shape[self.dim] // self.span

    def of(self, other: Shared) -> Tensor:
        """Return a shared value of the same shape at the changed units, ``(u, *others)``."""
        units = self.base.frame.constants.index(self.units)
        purpose = (self.units, self.dim, self.span)
        found: Tensor = other.derived(purpose, lambda v: pick(v, units, self.dim, self.span))
        return found

    def delta(self) -> Tensor:
        """Return what changed, shaped as ``values``."""
        return self.values - self.of(self.base).unsqueeze(1)

    def dense(self) -> Tensor:
        """Return all versions in full, ``(p, *shape)``."""
        p = self.values.shape[1]
        target = self.dim + 1
        last = self.span > 1
        values = self.values.movedim(-1, target + 1) if last else self.values
        if self.units == tuple(range(self.width)):
            whole = values.movedim(0, target)
            return whole.flatten(target, target + 1) if last else whole
        full = self.base.whole().unsqueeze(0).repeat(p, *(1 for _ in self.shape))
        view = full.unflatten(target, (self.width, self.span)) if last else full
        units = self.base.frame.constants.index(self.units)
        view.movedim(target, 0)[units] = values.to(full.dtype)
        found: Tensor = full
        return found


@dataclass(frozen=True, slots=True)
class Streamed:
    """A sparse value whose units come one after another; see :mod:`dnnrepair.population.streams`.

    Attributes:
        parts: of one unit each. They can be read once, or, while inputs are recorded, again.
    """

    parts: Iterable[Sparse]

    def together(self) -> Sparse:
        """Return all units in one value."""
        parts = tuple(self.parts)
        first = parts[0]
        units = tuple(unit for part in parts for unit in part.units)
        values = torch.cat([part.values for part in parts])
        return Sparse(values, units, first.base, first.dim, first.span)


@dataclass(frozen=True, slots=True)
class Dense:
    """A version of its own for every candidate.

    Attributes:
        values: ``(p, *shape)``, in any memory layout.
    """

    values: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one version."""
        return tuple(self.values.shape[1:])


Varying = Sparse | Dense


def pick(value: Tensor, units: Tensor, dim: int, span: int) -> Tensor:
    """Return ``(u, *others)``, with ``span`` last if it is not 1, from a whole value."""
    if span == 1:
        return value.movedim(dim, 0)[units].contiguous()
    parts: Tensor = value.unflatten(dim, (-1, span)).movedim(dim, 0)[units]
    return parts.movedim(dim + 1, -1).contiguous()


def dense(value: Any, frame: Frame, chunk: Chunk) -> Any:  # noqa: ANN401 - any argument
    """Return a varying argument as :class:`Dense`, any other as what it stands for."""
    if isinstance(value, Sparse):
        return Dense(value.dense())
    if isinstance(value, Edited):
        return Dense(value.dense(frame, chunk))
    if isinstance(value, Shared):
        return value.whole()
    if isinstance(value, list | tuple):
        return type(value)(dense(item, frame, chunk) for item in value)
    return value
