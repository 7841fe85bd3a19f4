"""Data that lie in memory (or in a memory map) as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dnnrepair.data.checks import check_batch
from dnnrepair.data.spread import spread
from dnnrepair.errors import DataError
from dnnrepair.probe import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Transform = Callable[[Tensor], Tensor]


class ArraySamples:
    """Samples in tensors; transforms are applied a batch at a time."""

    def __init__(
        self,
        inputs: tuple[Tensor, ...],
        targets: Tensor | None,
        name: str,
        *,
        transform: Transform | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        """Hold samples.

        Args:
            inputs: one tensor per input of the network, samples first.
            targets: labels or values, samples first; None if there are none.
            name: as the user named them.
            transform: of the first input's batches.
            notes: what was done to them.

        Raises:
            DataError: if there are no samples, or the lengths differ.
        """
        self.inputs = inputs
        self.targets = targets
        self.name = name
        self.notes = notes
        self._transform = transform
        if not inputs or inputs[0].dim() == 0 or len(inputs[0]) == 0:
            message = f"{name} holds no samples"
            raise DataError(message)
        for values in (*inputs[1:], targets):
            if values is not None and len(values) != len(inputs[0]):
                message = (
                    f"{name}: {len(inputs[0])} inputs but {len(values)} labels or further inputs; "
                    "they must agree"
                )
                raise DataError(message)

    @property
    def labeled(self) -> bool:
        """Whether there are targets."""
        return self.targets is not None

    @property
    def size(self) -> int:
        """The number of samples."""
        return len(self.inputs[0])

    def batches(self, size: int, *, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """Yield batches of ``size``; see :meth:`dnnrepair.data.Samples.batches`."""
        for start in range(rank * size, self.size, world * size):
            yield check_batch(self._batch(slice(start, start + size), start), self.name)

    def example(self, count: int = 4) -> Batch:
        """Return the first samples."""
        return check_batch(self._batch(slice(0, count), 0), self.name)

    def subset(self, places: NDArray[np.int64], name: str) -> ArraySamples:
        """Return the samples at some places, in that order."""
        index = torch.from_numpy(places)
        return ArraySamples(
            tuple(x[index] for x in self.inputs),
            None if self.targets is None else self.targets[index],
            name,
            transform=self._transform,
            notes=self.notes,
        )

    def _batch(self, part: slice, start: int) -> Batch:
        inputs = tuple(x[part] for x in self.inputs)
        if self._transform is not None:
            inputs = (self._transform(inputs[0]), *inputs[1:])
        targets = None if self.targets is None else as_targets(self.targets[part])
        return Batch(inputs=inputs, targets=targets, start=start)


def as_targets(values: Tensor) -> Tensor:
    """Return labels as int64, other values as float32."""
    return values.float() if values.is_floating_point() else values.long()


def gaussian(shape: Sequence[int], count: int, seed: int) -> ArraySamples:
    """Return ``count`` standard normal inputs of one shape, without labels."""
    rng = torch.Generator().manual_seed(seed)
    values = torch.randn(count, *shape, generator=rng)
    note = "the inputs are Gaussian noise, not data: what units do on real data may differ"
    return ArraySamples((values,), None, "gaussian probe", notes=(note,))


def split(
    samples: ArraySamples, shares: Sequence[float], seed: int, *, stratify: bool = True
) -> tuple[ArraySamples, ...]:
    """Return disjoint parts that together are all samples.

    Args:
        samples: to be split.
        shares: of each part, above 0; they are divided by their sum.
        seed: of the shuffling.
        stratify: give each part the same share of every class, up to rounding.
    """
    strata = torch.zeros(samples.size, dtype=torch.int64)
    if stratify and samples.targets is not None and not samples.targets.is_floating_point():
        strata = samples.targets.reshape(samples.size, -1)[:, 0].long()
    return tuple(
        samples.subset(part.numpy(), f"{samples.name}, part {place + 1}")
        for place, part in enumerate(spread(strata, shares, seed))
    )
