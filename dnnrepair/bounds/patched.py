"""Weights of which a few are changed: the tensor, and where in it the box has an extent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.bounds.rule import Bounded
from dnnrepair.bounds.zonotope import Value, Zonotope, point

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Entry:
    """One changed weight.

    Attributes:
        symbol: its number; None to forget what values have in common (plain intervals).
        index: in the tensor, one number per dimension.
        half: half the length of its interval.
    """

    symbol: int | None
    index: tuple[int, ...]
    half: float


@dataclass(frozen=True, slots=True, eq=False)
class Patched(Bounded):
    """A weight tensor with a few entries in intervals; sparse, unlike a :class:`Zonotope`.

    Attributes:
        center: the tensor with the intervals' midpoints in place.
        entries: its changed weights.
        symbols: how many there are in the whole network; 0 for plain intervals.
    """

    center: Tensor
    entries: tuple[Entry, ...]
    symbols: int

    @property
    def shape(self) -> torch.Size:
        """Of the tensor."""
        return self.center.shape

    def largest(self) -> Tensor:
        """Return the largest magnitude each weight can take."""
        found = self.center.abs()
        for entry in self.entries:
            found[entry.index] += entry.half
        return found

    def full(self) -> Zonotope:
        """Return the same as a zonotope."""
        found = point(self.center, self.symbols)
        for entry in self.entries:
            row = found.radius if entry.symbol is None else found.slopes[entry.symbol]
            row[entry.index] += entry.half
        return found


def value_of(x: Value | Patched) -> Value:
    """Return a tensor as it is, a patched one as a zonotope."""
    return x.full() if isinstance(x, Patched) else x


def patch(
    tensors: Mapping[str, Tensor],
    places: Sequence[tuple[str, int]],
    low: Tensor,
    high: Tensor,
    *,
    joint: bool,
) -> dict[str, Patched]:
    """Return the tensors that a search changes, by name.

    Args:
        tensors: of the network.
        places: tensor name and flat index, k of them.
        low: least values, ``(k,)``.
        high: greatest values, ``(k,)``.
        joint: keep a symbol per place; otherwise forget what values have in common.
    """
    found: dict[str, Patched] = {}
    for name in dict.fromkeys(name for name, _ in places):
        center = tensors[name].detach().clone()
        entries: list[Entry] = []
        for symbol, index in _of(name, places):
            where = tuple(int(i) for i in torch.unravel_index(torch.tensor(index), center.shape))
            middle, half = _interval(low[symbol], high[symbol], center.dtype)
            center[where] = middle
            entries.append(Entry(symbol if joint else None, where, half))
        found[name] = Patched(center, tuple(entries), len(places) if joint else 0)
    return found


def _of(name: str, places: Sequence[tuple[str, int]]) -> Iterator[tuple[int, int]]:
    return ((symbol, index) for symbol, (owner, index) in enumerate(places) if owner == name)


def _interval(low: Tensor, high: Tensor, dtype: torch.dtype) -> tuple[float, float]:
    """Return middle and half-length of an interval, the latter rounded outwards."""
    least, most = float(low), float(high)
    middle = float(torch.tensor((least + most) / 2, dtype=dtype))
    half = max(most - middle, middle - least)
    return middle, half * (1 + 2 * torch.finfo(dtype).eps)
