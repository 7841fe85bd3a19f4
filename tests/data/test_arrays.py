"""Arrays in memory: batches, shards, splits, synthetic inputs."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dnnrepair.data import ArraySamples, check_labels, gaussian, samples_of, split
from dnnrepair.errors import DataError


def counted(count: int, classes: int = 3) -> ArraySamples:
    x = torch.arange(count, dtype=torch.float32)[:, None]
    return ArraySamples((x,), torch.arange(count) % classes, "counted")


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 4))
def test_shards_hold_every_sample_once_with_the_same_boundaries_at_any_world_size(
    count: int, size: int, world: int
) -> None:
    samples = counted(count)
    alone = [b.inputs[0][:, 0].tolist() for b in samples.batches(size)]
    assert list(chain(*alone)) == list(range(count))
    shards = [list(samples.batches(size, rank=r, world=world)) for r in range(world)]
    merged = sorted((b for shard in shards for b in shard), key=lambda b: b.start)
    assert [b.inputs[0][:, 0].tolist() for b in merged] == alone
    assert all(b.start == b.inputs[0][0, 0] for b in merged)


def test_integers_become_labels_and_floats_stay_values() -> None:
    x = torch.zeros(3, 2)
    for dtype in (torch.uint8, torch.int32, torch.bool):
        batch = ArraySamples((x,), torch.tensor([0, 1, 1]).to(dtype), "x").example()
        assert batch.targets is not None
        assert batch.targets.dtype == torch.int64
    batch = ArraySamples((x,), torch.tensor([0.0, 0.5, 1.0]).double(), "x").example()
    assert batch.targets is not None
    assert batch.targets.dtype == torch.float32


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_the_first_sample_that_is_not_finite_is_named(bad: float) -> None:
    x = torch.zeros(10, 2)
    x[7, 1] = x[9, 0] = bad
    with pytest.raises(DataError, match=r"2 samples .* first in sample 7"):
        list(ArraySamples((x,), None, "x").batches(5))
    y = torch.zeros(10)
    y[8] = bad
    with pytest.raises(DataError, match=r"labels .* first in sample 8"):
        list(ArraySamples((torch.zeros(10, 2),), y, "x").batches(4))


def test_huge_finite_numbers_are_no_infinities() -> None:
    x = torch.full((4, 3), 3e38)  # their sum overflows
    assert len(list(ArraySamples((x,), None, "x").batches(4))) == 1


def test_lengths_must_agree_and_something_must_be_there() -> None:
    with pytest.raises(DataError, match="3 inputs but 2"):
        ArraySamples((torch.zeros(3, 1),), torch.zeros(2), "x")
    with pytest.raises(DataError, match="3 inputs but 4"):
        ArraySamples((torch.zeros(3, 1), torch.zeros(4, 1)), None, "x")
    for empty in (torch.zeros(0, 4), torch.tensor(1.0)):
        with pytest.raises(DataError, match="no samples"):
            ArraySamples((empty,), None, "x")


def test_labels_out_of_range_are_named_and_ignored_ones_are_not() -> None:
    check_labels(torch.tensor([0, 2, -100]), 3)
    check_labels(torch.tensor([0.5]), 1)
    for wrong in (3, -1):
        with pytest.raises(DataError, match=rf"label {wrong} .* 3 classes, 0 to 2"):
            check_labels(torch.tensor([[0, wrong]]), 3)


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=80),
    st.lists(st.floats(0.05, 1), min_size=1, max_size=4),
    st.integers(0, 5),
)
def test_a_split_is_disjoint_exhaustive_stratified_and_repeatable(
    labels: list[int], shares: list[float], seed: int
) -> None:
    count = len(labels)
    samples = ArraySamples((torch.arange(count),), torch.tensor(labels), "x")
    wanted = np.array(shares) / sum(shares)
    if (wanted * count < len(shares)).any():
        return  # a part might be left without samples
    parts = split(samples, shares, seed)
    places = [part.inputs[0].tolist() for part in parts]
    assert sorted(chain(*places)) == list(range(count))
    for part, share in zip(parts, wanted, strict=True):
        assert abs(part.size - share * count) < len(shares)
        assert part.targets is not None
        for label in set(labels):
            found = int((part.targets == label).sum())
            assert abs(found - share * labels.count(label)) < 1
    again = split(samples, shares, seed)
    assert [part.inputs[0].tolist() for part in again] == places


def test_stratification_keeps_a_rare_class_in_both_halves() -> None:
    labels = torch.tensor([0] * 96 + [1] * 4)
    samples = ArraySamples((torch.arange(100),), labels, "x")
    for seed in range(20):
        halves = split(samples, (0.5, 0.5), seed)
        assert all(int((h.targets == 1).sum()) == 2 for h in halves if h.targets is not None)


def test_split_differs_between_seeds() -> None:
    samples = counted(60)
    first, second = (split(samples, (1, 1), seed)[0].inputs[0] for seed in (0, 1))
    assert not torch.equal(first, second)


def test_gaussian_inputs_are_standard_normal_and_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    values = gaussian((3, 8, 8), 300, 1).inputs[0]
    assert torch.equal(torch.get_rng_state(), before)
    assert values.shape == (300, 3, 8, 8)
    assert abs(float(values.mean())) < 0.02
    assert abs(float(values.std()) - 1) < 0.02
    assert torch.equal(values, gaussian((3, 8, 8), 300, 1).inputs[0])


def test_numpy_arrays_are_taken_without_a_copy_and_doubles_as_floats() -> None:
    x = np.ones((4, 2), np.float32)
    samples = samples_of((x, [0, 1, 0, 1]))
    x[2, 1] = 5
    assert samples.example().inputs[0][2, 1] == 5
    assert samples_of(np.ones((4, 2))).example().inputs[0].dtype == torch.float32
    assert samples_of(np.ones((4, 2), ">f4")).example().inputs[0].sum() == 8
    x.flags.writeable = False
    assert samples_of(x).size == 4


@pytest.mark.parametrize("data", ["text", 3, None, {"x": 1}])
def test_what_is_no_data_is_refused(data: object) -> None:
    with pytest.raises(DataError, match="give arrays, a Dataset or a DataLoader"):
        samples_of(data)


@pytest.mark.parametrize(
    ("x", "what"),
    [
        (np.array(["a", "b"]), "text"),
        (np.array([None, 1]), "objects"),
        (np.array([1j]), "complex"),
        ([[1, 2], [3]], "unequal"),
    ],
)
def test_what_is_no_number_is_named(x: object, what: str) -> None:
    with pytest.raises(DataError, match=what):
        samples_of((x, np.zeros(2)))
