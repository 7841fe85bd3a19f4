"""Where the samples lie in the values that a network computes.

Not every value has them first: attention works on ``(tokens, samples, features)``, and merges the
first two. What depends on one sample shows when that sample is exchanged for another.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from torch import Tensor

    from dnnrepair.program import GraphProgram
    from dnnrepair.sites import Site

_ROUNDING = 1e-4  # of the largest difference
_COPIES = 3  # of one sample, of which the last is exchanged; 2 could be mistaken for something else


@dataclass(frozen=True, slots=True)
class Layout:
    """Which dimension holds the samples, alone or merged with another.

    Attributes:
        dim: the dimension.
        inner: the samples vary fastest in it, such as in ``(tokens * samples, features)``.
    """

    dim: int = 0
    inner: bool = False

    def split(self, value: Tensor, samples: int) -> Tensor:
        """Return a value with its samples in a dimension of their own, the first: ``(n, ...)``."""
        others = value.shape[self.dim] // samples
        sizes = (others, samples) if self.inner else (samples, others)
        apart: Tensor = value.unflatten(self.dim, sizes)
        return apart.movedim(self.dim + self.inner, 0)

    def merge(self, value: Tensor) -> Tensor:
        """Return what :meth:`split` returned as it was before."""
        merged: Tensor = value.movedim(0, self.dim + self.inner).flatten(self.dim, self.dim + 1)
        return merged


def layouts(
    program: GraphProgram, inputs: Sequence[Tensor], sites: Collection[str]
) -> dict[str, Layout | None]:
    """Return where the samples lie in the values of some operations; None where nobody can tell.

    Args:
        program: the network.
        inputs: some samples, of which two should differ.
        sites: names of the operations.
    """
    size = program.batch_size or _COPIES
    other = _another(inputs)
    same = [x[[0] * size] for x in inputs]
    changed = [x[[0] * (size - 1) + [other]] for x in inputs]
    before, after = _values(program, same, sites), _values(program, changed, sites)
    return {name: _layout(_differs(before[name], after[name]), size) for name in before}


def _differs(one: Tensor, other: Tensor) -> Tensor:
    """Return where two values differ by more than rounding."""
    difference = (one.double() - other.double()).abs()
    return difference > _ROUNDING * difference.max()


def _another(inputs: Sequence[Tensor]) -> int:
    """Return a sample that is not the first one."""
    differs = torch.stack([(x != x[:1]).flatten(1).any(1) for x in inputs]).any(0)
    return int(differs.byte().argmax())


@torch.no_grad()
def _values(
    program: GraphProgram, inputs: Sequence[Tensor], sites: Collection[str]
) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}

    def watch(site: Site, _arguments: Mapping[str, Any], value: Any) -> None:  # noqa: ANN401
        if site.name in sites and isinstance(value, torch.Tensor):
            found[site.name] = value

    program.run(inputs, watch=watch)
    return found


def _layout(changed: Tensor, size: int) -> Layout | None:
    """Return the first layout in which only the last of ``size`` samples changed."""
    for dim, inner in product(range(changed.dim()), (False, True)):
        if changed.shape[dim] % size == 0:
            layout = Layout(dim, inner)
            if not bool(layout.split(changed, size)[:-1].any()):
                return layout
    return None
