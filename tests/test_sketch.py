"""The sketch: uniform, the same however the stream is cut, joined exactly."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dnnrepair.probe import Batch
from dnnrepair.sketch import Sketch, priorities


def sketch_of(starts: list[tuple[int, int]], size: int = 16) -> Sketch:
    sketch = Sketch(size, seed=3)
    for low, high in starts:
        index = torch.arange(low, high)
        sketch.add(Batch(inputs=(index[:, None].float(),), targets=index, start=low))
    return sketch


def members(sketch: Sketch) -> list[int]:
    found = [b.targets for b in sketch.batches(128, torch.device("cpu"))]
    return sorted(int(i) for targets in found if targets is not None for i in targets)


@given(st.integers(1, 300), st.integers(1, 60))
def test_the_sketch_is_the_k_smallest_priorities(count: int, step: int) -> None:
    cuts = [(low, min(low + step, count)) for low in range(0, count, step)]
    wanted = np.argsort(priorities(np.arange(count), 3))[:16]
    assert members(sketch_of(cuts)) == sorted(wanted.tolist())


@given(st.integers(1, 200), st.integers(1, 4))
def test_shards_join_to_the_sketch_of_the_whole(count: int, world: int) -> None:
    cuts = [(low, min(low + 7, count)) for low in range(0, count, 7)]
    shards = [sketch_of(cuts[rank::world]) for rank in range(world)]
    shards[0].join(shards[1:])
    assert members(shards[0]) == members(sketch_of(cuts))


def test_every_sample_is_as_likely() -> None:
    ranks = priorities(np.arange(20_000), 0) / 2.0**64
    assert stats.kstest(ranks, "uniform").pvalue > 1e-3
    firsts = [int(np.argmin(priorities(np.arange(8), seed))) for seed in range(4000)]
    assert stats.chisquare(np.bincount(firsts, minlength=8)).pvalue > 1e-3


def test_samples_of_different_shape_go_to_different_batches() -> None:
    sketch = Sketch(10, seed=0)
    sketch.add(Batch(inputs=(torch.zeros(3, 5),), start=0))
    sketch.add(Batch(inputs=(torch.zeros(2, 4),), start=3))
    shapes = sorted(tuple(b.inputs[0].shape) for b in sketch.batches(2, torch.device("cpu")))
    assert shapes == [(1, 5), (2, 4), (2, 5)]
