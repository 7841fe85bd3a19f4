"""A uniform sample of a stream whose members do not depend on how the stream is cut up.

Each sample gets a pseudo-random priority from its index; the sketch holds the samples with the
smallest ones ("bottom-k"). Sketches of shards join to exactly the sketch of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from dnnrepair.probe import Batch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    priority: int
    index: int
    inputs: tuple[Tensor, ...]
    target: Tensor | None
    mask: Tensor | None


class Sketch:
    """At most ``size`` samples, drawn uniformly."""

    def __init__(self, size: int, seed: int) -> None:
        """Hold the samples of smallest priority under ``seed``."""
        self.size = size
        self.seed = seed
        self._samples: list[_Sample] = []

    def add(self, batch: Batch) -> None:
        """Offer the samples of a batch."""
        ranks = priorities(np.arange(batch.start, batch.start + len(batch)), self.seed)
        full = len(self._samples) >= self.size
        bound = self._samples[-1].priority if full else np.iinfo(np.uint64).max
        for place in np.flatnonzero(ranks <= bound):
            self._samples.append(_take(batch, int(place), int(ranks[place])))
        self._keep()

    def join(self, others: Iterable[Sketch]) -> None:
        """Take in the sketches of other shards of the same data."""
        for other in others:
            self._samples.extend(other._samples)  # noqa: SLF001 - its own kind
        self._keep()

    def batches(self, size: int, device: torch.device) -> tuple[Batch, ...]:
        """Return the samples in batches of at most ``size`` that agree in shape."""
        by_shape: dict[tuple[torch.Size, ...], list[_Sample]] = {}
        for sample in self._samples:
            by_shape.setdefault(tuple(x.shape for x in sample.inputs), []).append(sample)
        groups = [g[i : i + size] for g in by_shape.values() for i in range(0, len(g), size)]
        return tuple(_stack(group, device) for group in groups)

    def _keep(self) -> None:
        self._samples.sort(key=lambda sample: sample.priority)
        del self._samples[self.size :]


def priorities(index: NDArray[np.integer], seed: int) -> NDArray[np.uint64]:
    """Return a pseudo-random 64-bit number per index (SplitMix64; Steele, Lea and Flood 2014)."""
    with np.errstate(over="ignore"):
        state = index.astype(np.uint64) + np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)
        state = (state + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return state ^ (state >> np.uint64(31))


def _take(batch: Batch, place: int, priority: int) -> _Sample:
    def row(values: Tensor | None) -> Tensor | None:
        return None if values is None else values[place].detach().cpu().clone()

    return _Sample(
        priority=priority,
        index=batch.start + place,
        inputs=tuple(x[place].detach().cpu().clone() for x in batch.inputs),
        target=row(batch.targets),
        mask=row(batch.mask),
    )


def _stack(samples: list[_Sample], device: torch.device) -> Batch:
    def column(values: list[Tensor | None]) -> Tensor | None:
        present = [value for value in values if value is not None]
        return torch.stack(present).to(device) if len(present) == len(values) else None

    return Batch(
        inputs=tuple(
            torch.stack(part).to(device) for part in zip(*(s.inputs for s in samples), strict=True)
        ),
        targets=column([s.target for s in samples]),
        mask=column([s.mask for s in samples]),
        start=samples[0].index,
    )
