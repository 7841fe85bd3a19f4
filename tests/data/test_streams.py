"""Datasets and loaders: every sample once, nothing kept, no trace left."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from dnnrepair.data import LoaderSamples, samples_of
from dnnrepair.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.data import Samples
    from dnnrepair.probe import Batch


class Numbers(Dataset[Any]):
    def __init__(self, count: int) -> None:
        self.count = count
        self.read: list[int] = []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        self.read.append(index)
        return torch.tensor([float(index)]), index % 3


class Noisy(Numbers):
    def __getitem__(self, index: int) -> Any:
        noise = torch.rand(1) + random.random() + np.random.rand()  # noqa: NPY002
        return torch.tensor([float(index)]) + noise.float(), index % 3


class Flow(IterableDataset[Any]):
    def __init__(self, count: int) -> None:
        self.count = count
        self.started = 0

    def __iter__(self) -> Iterator[Any]:
        self.started += 1
        for index in range(self.count):
            yield np.array([index], np.float32), index % 3


def forms(count: int) -> list[Any]:
    numbers = Numbers(count)
    return [
        numbers,
        DataLoader(numbers, batch_size=3),
        DataLoader(numbers, batch_size=5, shuffle=True, drop_last=True),
        Flow(count),
        DataLoader(Flow(count), batch_size=4),
        DataLoader(numbers, batch_sampler=[[i] for i in range(count)]),
        iter(batched(count)),
    ]


def batched(count: int) -> list[Any]:
    return [
        (
            torch.arange(i, min(i + 3, count)).float()[:, None],
            torch.arange(i, min(i + 3, count)) % 3,
        )
        for i in range(0, count, 3)
    ]


def legacy_state() -> str:
    return repr(np.random.get_state(legacy=False))  # noqa: NPY002


def values(batches: list[Batch]) -> list[float]:
    return [float(v) for b in sorted(batches, key=lambda b: b.start) for v in b.inputs[0][:, 0]]


@settings(max_examples=20)
@given(st.integers(1, 20), st.integers(1, 6), st.integers(1, 3))
def test_shards_hold_every_sample_once(count: int, size: int, world: int) -> None:
    for place in range(len(forms(1))):
        shards = []
        for rank in range(world):
            samples = samples_of(forms(count)[place])
            shards += list(samples.batches(size, rank=rank, world=world))
        assert values(shards) == list(range(count)), place
        assert all(b.start == b.inputs[0][0, 0] for b in shards)


def test_the_example_consumes_nothing() -> None:
    for form in forms(10):
        samples = samples_of(form)
        first = samples.example(2).inputs[0][:, 0].tolist()
        assert first in ([0.0, 1.0], [0.0])  # a stream of single samples shows its first batch
        assert samples.labeled
        assert values(list(samples.batches(4))) == list(range(10))


def test_a_second_pass_starts_again_where_it_can() -> None:
    for form in forms(10)[:-1]:
        samples = samples_of(form)
        first = values(list(samples.batches(4)))
        assert values(list(samples.batches(3))) == first


def test_a_rank_loads_its_own_samples_only() -> None:
    numbers = Numbers(20)
    list(LoaderSamples(numbers).batches(5, rank=1, world=2))
    assert numbers.read == [*range(5, 10), *range(15, 20)]


def test_reading_is_lazy() -> None:
    numbers, flow = Numbers(1000), Flow(1000)
    next(iter(LoaderSamples(numbers).batches(10)))
    assert len(numbers.read) <= 20
    endless = LoaderSamples(iter(lambda: torch.zeros(2, 1), None))
    assert endless.size is None
    assert next(iter(endless.batches(10))).inputs[0].shape == (2, 1)
    samples = LoaderSamples(flow)
    samples.example()
    next(iter(samples.batches(10)))
    assert flow.started == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_random_states_stay_as_found_and_augmentations_repeat(workers: int) -> None:
    loader = DataLoader(Noisy(12), batch_size=4, shuffle=True, num_workers=workers)
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    states = torch.get_rng_state(), random.getstate(), legacy_state()
    passes = [values(list(samples_of(loader).batches(4))) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert legacy_state() == states[2]
    if workers == 0:  # a worker's numpy and random seeds are its own affair
        assert passes[0] == passes[1]


def test_a_loaders_own_collate_function_is_used() -> None:
    loader = DataLoader(
        Numbers(6), batch_size=2, collate_fn=lambda items: torch.zeros(len(items), 7)
    )
    batches = list(samples_of(loader).batches(4))
    assert [b.inputs[0].shape for b in batches] == [(4, 7), (2, 7)]
    assert batches[0].targets is None


def test_a_subset_sampler_is_respected() -> None:
    from torch.utils.data import SubsetRandomSampler

    loader = DataLoader(Numbers(20), batch_size=2, sampler=SubsetRandomSampler([3, 4, 5]))
    assert sorted(values(list(samples_of(loader).batches(9)))) == [3, 4, 5]
    shards = [list(samples_of(loader).batches(9, rank=r, world=2)) for r in range(2)]
    assert sorted(values(shards[0]) + values(shards[1])) == [3, 4, 5]


X, Y, M = torch.rand(4, 5), torch.arange(4), torch.tensor([[1, 1, 1, 0, 0]] * 4)
IDS = torch.ones(4, 5, dtype=torch.int64)


@pytest.mark.parametrize(
    ("item", "inputs", "targets", "mask"),
    [
        (X, [X], None, None),
        ([X], [X], None, None),
        ((X, Y), [X], Y, None),
        ((X, IDS, Y), [X, IDS], Y, None),
        (((X, IDS), Y), [X, IDS], Y, None),
        ({"x": X, "y": Y}, [X], Y, None),
        (({"x": X, "z": IDS}, Y), [X, IDS], Y, None),
        (
            {"labels": Y, "token_type_ids": X, "attention_mask": M, "input_ids": IDS, "id": ["a"]},
            [IDS, M, X],
            Y,
            M.bool(),
        ),
    ],
)
def test_items_of_every_form(item: Any, inputs: Any, targets: Any, mask: Any) -> None:
    (batch,) = LoaderSamples(iter([item])).batches(9)
    assert len(batch.inputs) == len(inputs)
    assert all(torch.equal(a, b) for a, b in zip(batch.inputs, inputs, strict=True))
    assert batch.targets is None if targets is None else torch.equal(batch.targets, targets)  # type: ignore[arg-type]
    assert batch.mask is None if mask is None else torch.equal(batch.mask, mask)  # type: ignore[arg-type]


class Broken(Numbers):
    def __getitem__(self, index: int) -> Any:
        if index == 6:
            message = "no such file\nsecond line"
            raise OSError(message)
        return super().__getitem__(index)


class Refused(Numbers):
    def __getitem__(self, index: int) -> Any:
        message = "sample is unreadable"
        raise DataError(message)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_the_users_code_is_told_in_one_line(workers: int) -> None:
    def read(data: Dataset[Any]) -> str:
        samples = LoaderSamples(DataLoader(data, batch_size=4, num_workers=workers), "mine")
        with pytest.raises(DataError) as caught:
            list(samples.batches(4))
        return str(caught.value)

    assert read(Broken(9)).startswith("mine raised OSError")
    assert "\n" not in read(Broken(9))
    assert read(Refused(9)) == "sample is unreadable"


@pytest.mark.parametrize("empty", [Numbers(0), Flow(0), DataLoader(Flow(0)), iter([])])
def test_nothing_in_it_is_an_error(empty: Any) -> None:
    with pytest.raises(DataError, match="holds no samples"):
        LoaderSamples(empty, "mine").example()


@pytest.mark.parametrize("item", [(), 3.0, {"y": Y}, {"x": "text"}])
def test_an_item_without_inputs_is_an_error(item: Any) -> None:
    with pytest.raises(DataError):
        LoaderSamples(iter([item]), "mine").example()


def test_samples_of_unequal_shape_are_an_error() -> None:
    uneven = [(torch.zeros(n), 0) for n in (2, 3)]
    with pytest.raises(DataError, match="equal size"):
        LoaderSamples(uneven, "mine").example()


def test_bad_numbers_are_found_in_the_batch_that_holds_them() -> None:
    x = torch.zeros(10, 2)
    x[6] = float("nan")
    batches = LoaderSamples(TensorDataset(x), "mine").batches(4)
    next(batches)
    with pytest.raises(DataError, match=r"mine: the inputs of 1 samples .* first in sample 6"):
        next(batches)


def test_samples_are_passed_through() -> None:
    samples: Samples = LoaderSamples(Numbers(2))
    assert samples_of(samples) is samples
