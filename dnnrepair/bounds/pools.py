"""Rules of max pooling: one element of each window, plus what another may exceed it by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from dnnrepair.bounds.rule import bound
from dnnrepair.bounds.zonotope import Zonotope, total

if TYPE_CHECKING:
    from collections.abc import Sequence

_OUTSIDE = -1  # a place of a window that lies in the padding


def largest(x: Zonotope, windows: Tensor) -> Zonotope:
    """Bound the maximum over windows of the last dimension.

    Against the element whose lower bound is highest, the maximum is larger by at least 0 and at
    most by the largest difference; differences keep what the elements have in common, and where
    one element always wins there are none.

    Args:
        x: ``(..., places)``.
        windows: places of each window, ``(windows, size)``; -1 stands for none.

    Returns:
        ``(..., windows)``.
    """
    inside, places = windows != _OUTSIDE, windows.clamp(min=0)
    low = x.low[..., places].masked_fill(~inside, -torch.inf)  # (..., windows, size)
    best = places.expand(low.shape).gather(-1, low.argmax(-1, keepdim=True))[..., 0]
    leader = x.map(lambda part: part.gather(-1, best))
    excess = torch.zeros_like(leader.center)
    for place, valid in zip(places.T, inside.T, strict=True):
        over = total(x.map(_Pick(place)), leader.scaled(-1.0)).high
        excess = torch.maximum(excess, over.masked_fill(~valid | (best == place), 0))
    return leader.between(torch.ones_like(excess), torch.zeros_like(excess), excess)


@dataclass(frozen=True, slots=True)
class _Pick:
    """Take places of the last dimension."""

    places: Tensor

    def __call__(self, values: Tensor) -> Tensor:
        return values[..., self.places]


def _max_pool(
    rank: int,
    x: Zonotope,
    kernel: Any,  # noqa: ANN401 - an int or one per dimension
    stride: Any = None,  # noqa: ANN401
    padding: Any = 0,  # noqa: ANN401
    dilation: Any = 1,  # noqa: ANN401
    ceil_mode: bool = False,  # noqa: FBT001, FBT002 - as torch has it
) -> Zonotope:
    function: Any = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[rank]
    sizes = [_per_dim(s, rank) for s in (kernel, stride or kernel, padding, dilation)]
    pooled = function(x.center, *sizes, ceil_mode=ceil_mode)
    space = x.shape[-rank:]
    axes = [
        [[o * s - p + i * d for i in range(k)] for o in range(count)]
        for count, k, s, p, d in zip(pooled.shape[-rank:], *sizes, strict=True)
    ]
    return _pooled(x, rank, axes, space, pooled.shape)


def _adaptive_max_pool(rank: int, x: Zonotope, output: Any) -> tuple[Zonotope, None]:  # noqa: ANN401
    space = x.shape[-rank:]
    counts = [n or s for n, s in zip(_per_dim(output, rank), space, strict=True)]
    axes = []
    for count, length in zip(counts, space, strict=True):
        spans = [(o * length // count, -(-(o + 1) * length // count)) for o in range(count)]
        widest = max(end - start for start, end in spans)
        axes.append([[*range(a, b), *[_OUTSIDE] * (widest - b + a)] for a, b in spans])
    return _pooled(x, rank, axes, space, (*x.shape[:-rank], *counts)), None


def _pooled(
    x: Zonotope,
    rank: int,
    axes: Sequence[Sequence[Sequence[int]]],
    space: Sequence[int],
    shape: Sequence[int],
) -> Zonotope:
    """Pool over windows that are products of places along each dimension."""
    windows = [[_flat(place, space) for place in product(*window)] for window in product(*axes)]
    index = torch.tensor(windows, device=x.center.device)
    found = largest(x.map(lambda part: part.flatten(-rank)), index)
    return found.map(lambda part: part.reshape(*shape))


def _flat(place: Sequence[int], space: Sequence[int]) -> int:
    flat = 0
    for at, length in zip(place, space, strict=True):
        if not 0 <= at < length:
            return _OUTSIDE
        flat = flat * length + at
    return flat


def _per_dim(sizes: Any, rank: int) -> list[int]:  # noqa: ANN401 - an int or one per dimension
    given = [sizes] if isinstance(sizes, int) else list(sizes)
    return given * rank if len(given) == 1 else given


def _with_places(rank: int, *args: Any, **kwargs: Any) -> tuple[Zonotope, None]:  # noqa: ANN401
    return _max_pool(rank, *args, **kwargs), None


for _rank in (1, 2, 3):
    bound(f"max_pool{_rank}d")(partial(_max_pool, _rank))
    bound(f"max_pool{_rank}d_with_indices")(partial(_with_places, _rank))
    bound(f"adaptive_max_pool{_rank}d")(partial(_adaptive_max_pool, _rank))
