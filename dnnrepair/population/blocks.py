"""The inputs, cut into blocks, with what the suffix needs of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from dnnrepair.fitness.fitness import SCALE
from dnnrepair.population.fused import PREDICTION
from dnnrepair.population.sizes import VECTOR, Sizes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dnnrepair.data import Samples
    from dnnrepair.population.frame import Frame
    from dnnrepair.population.scores import Judge
    from dnnrepair.population.settings import EvaluatorSettings
    from dnnrepair.population.store import Store
    from dnnrepair.population.suffix import Suffix
    from dnnrepair.probe import Batch
    from dnnrepair.sharding import Shards


@dataclass(frozen=True, slots=True)
class Rows:
    """Some inputs of the data.

    Attributes:
        inputs: one tensor per input of the network, ``(n, ...)``.
        targets: as the data give them.
        indices: which inputs these are, ``(n,)``.
    """

    inputs: tuple[Tensor, ...]
    targets: Tensor | None
    indices: Tensor


@dataclass(frozen=True, slots=True)
class Block:
    """Some inputs as the suffix sees them.

    Blocks are filled up to whole vectors, or to the one batch size that a network runs with; what
    fills them has weight 0.

    Attributes:
        frame: what the suffix needs of them.
        indices: which inputs of the data these are, ``(n,)`` on the CPU.
        targets: their labels or values, ``(n or more, ...)``.
        weights: of each term, search and input, ``(F, S, n or more)``, multiplied by 2^24.
    """

    frame: Frame
    indices: Tensor
    targets: Tensor
    weights: Tensor

    def __len__(self) -> int:
        """Return n."""
        return len(self.indices)

    @property
    def away(self) -> bool:
        """Whether what was recorded is kept off the device that computes with it."""
        device = self.frame.constants.device
        return any(value.device != device for value in self.frame.tensors().values())

    def there(self) -> Block:
        """Return the block with all that was recorded on the device, for as long as it is used."""
        return replace(self, frame=self.frame.there()) if self.away else self


def block_size(
    suffix: Suffix, example: Batch, count: int, settings: EvaluatorSettings
) -> tuple[int, int]:
    """Return how many inputs and candidates to evaluate at a time, by what one input takes."""
    size = _full_size(suffix, len(example))
    device = suffix.constants.device
    frame, _, largest = suffix.record(tuple(_filled(x, size).to(device) for x in example.inputs))
    per_pair = max(1, largest * suffix.originals.element_size() // size)
    if suffix.program.batch_size is not None:
        settings = replace(settings, block=suffix.program.batch_size)
    return Sizes.of(device).choose(per_pair, frame.bytes // size, count, settings)


def record(suffix: Suffix, judge: Judge, rows: Iterable[Rows], store: Store) -> Iterator[Block]:
    """Yield the blocks of some inputs."""
    device = suffix.constants.device
    scaled = (judge.fitness.weights * SCALE).to(suffix.originals.dtype)
    for part in rows:
        size = _full_size(suffix, len(part.indices))
        frame, unpatched, _ = suffix.record(tuple(_filled(x, size).to(device) for x in part.inputs))
        targets = None if part.targets is None else _filled(part.targets, size)
        targets = judge.check(tuple(frame.kept[PREDICTION].shape), targets).to(device)
        own = scaled[..., part.indices].to(device)
        weights = functional.pad(own, (0, size - len(part.indices)))
        # Asks for what else depends on the block alone: computed later, it would be kept in holes.
        judge.judge(judge.outputs(unpatched, targets, frame.recall), targets, weights[:, 0])
        store.keep(frame)
        indices, targets, weights = map(store.hold, (part.indices, targets, weights))
        yield Block(frame, indices, targets, weights)


def _full_size(suffix: Suffix, count: int) -> int:
    """Return to how many inputs a block is filled up.

    Libraries compute the last few numbers of a vector, and products of few columns, by other code
    whose rounding differs. With whole vectors of inputs there are no last few, and results do not
    depend on where in a chunk a candidate stands.
    """
    return suffix.program.batch_size or -(-count // VECTOR) * VECTOR


def _filled(value: Tensor, size: int) -> Tensor:
    """Return a batch with its last sample repeated up to a size."""
    return value[torch.arange(size).clamp(max=len(value) - 1)]


def rows_of(samples: Samples, size: int, shards: Shards, keep: Tensor | None) -> Iterator[Rows]:
    """Yield this process's share of the inputs, cut alike for any number of processes.

    Args:
        samples: the data.
        size: inputs at a time; only the last cut has fewer.
        shards: this process's place.
        keep: which inputs count, ``(N,)`` bool; None for all.
    """
    if keep is None:
        for batch in samples.batches(size, rank=shards.rank, world=shards.world):
            yield _rows(batch, torch.arange(len(batch)))
        return
    for number, part in enumerate(_kept(samples, size, keep)):
        if number % shards.world == shards.rank:
            yield part


def _kept(samples: Samples, size: int, keep: Tensor) -> Iterator[Rows]:
    waiting: list[Rows] = []
    for batch in samples.batches(size):
        here = keep[batch.start : batch.start + len(batch)].nonzero()[:, 0]
        waiting.append(_rows(batch, here))
        joined = _joined(waiting)
        while len(joined.indices) >= size:
            yield _part(joined, slice(0, size))
            joined = _part(joined, slice(size, None))
        waiting = [joined]
    if waiting and len(waiting[0].indices):
        yield waiting[0]


def _rows(batch: Batch, chosen: Tensor) -> Rows:
    """Return some inputs of a batch, by label: a fitness then finds each class in one piece."""
    if batch.targets is not None and batch.targets.dim() == 1:
        chosen = chosen[batch.targets[chosen].argsort(stable=True)]
    inputs = tuple(x[chosen] for x in batch.inputs)
    targets = None if batch.targets is None else batch.targets[chosen]
    return Rows(inputs, targets, chosen + batch.start)


def _part(rows: Rows, part: slice) -> Rows:
    targets = None if rows.targets is None else rows.targets[part]
    return Rows(tuple(x[part] for x in rows.inputs), targets, rows.indices[part])


def _joined(parts: Sequence[Rows]) -> Rows:
    targets = [part.targets for part in parts if part.targets is not None]
    return Rows(
        tuple(torch.cat(same) for same in zip(*(part.inputs for part in parts), strict=True)),
        torch.cat(targets) if targets else None,
        torch.cat([part.indices for part in parts]),
    )
