"""Fused kernels agree with plain torch, and no block or neighbor changes a bit of their result.

They run on a CUDA device, or through Triton's interpreter in a process that is told so before it
imports Triton: ``test_interpreted.py`` starts one.
"""

from __future__ import annotations

import os
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from dnnrepair.kernels import (
    Activation,
    ConvTail,
    Head,
    Scoring,
    Shape,
    Tail,
    conv_tail,
    head,
    tail,
)
from dnnrepair.kernels.reference import ConvReference, HeadReference, TailReference
from dnnrepair.kernels.tasks import ACTIVATIONS

if TYPE_CHECKING:
    import random

    from dnnrepair.kernels import Evaluator

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"
pytestmark = [
    pytest.mark.skipif(find_spec("triton") is None, reason="needs Triton"),
    pytest.mark.skipif(
        not (INTERPRETED or torch.cuda.is_available()),
        reason="needs a CUDA device; test_interpreted.py runs it on the CPU",
    ),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),  # numpy computes inf - inf
]

PHASES = (Phase.explicit, Phase.generate)  # a smaller example is not worth minutes
SHAPES = (Shape(1, 32), Shape(4, 16), Shape(2, 64, warps=2))
dims = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**20),
        "inputs": st.sampled_from([1, 16, 33, 50]),
        "weights": st.integers(1, 9),
        "candidates": st.sampled_from([1, 2, 6]),
        "classes": st.sampled_from([2, 3, 10]),
        "units": st.integers(1, 5),
        "searches": st.sampled_from([1, 2]),
    }
)
SIZE = {"seed": 5, "inputs": 50, "weights": 4, "candidates": 6, "classes": 4}
SIZE |= {"units": 3, "searches": 1}


def draw(rng: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=rng).to(DEVICE)


def integers(rng: torch.Generator, below: int, count: int) -> torch.Tensor:
    return torch.randint(below, (count,), generator=rng, dtype=torch.int32).to(DEVICE)


def drawn_tail(size: dict[str, int], activation: Activation) -> tuple[Tail, torch.Tensor]:
    rng = torch.Generator().manual_seed(size["seed"])
    inputs, units, classes = size["inputs"], size["units"], size["classes"]
    shape = (size["searches"], inputs)[size["searches"] == 1 :]
    task = Tail(
        columns=draw(rng, size["weights"], inputs),
        unit_of=integers(rng, units, size["weights"]),
        before=draw(rng, units, inputs),
        weight=draw(rng, classes, units),
        base=2 * draw(rng, classes, inputs),
        scoring=Scoring(integers(rng, classes, inputs), draw(rng, *shape).abs()),
        activation=activation,
    )
    return task, draw(rng, size["candidates"] * size["searches"], size["weights"])


def drawn_head(size: dict[str, int]) -> tuple[Head, torch.Tensor]:
    task, changes = drawn_tail({**size, "units": size["classes"]}, Activation())
    made = Head(columns=task.columns, unit_of=task.unit_of, base=task.base, scoring=task.scoring)
    return made, changes


def assert_agree(found: Evaluator, wanted: Evaluator, changes: torch.Tensor) -> None:
    assert found.backend == "triton"
    assert wanted.backend == "torch"
    ours, plain = found(changes, verdicts=True), wanted(changes, verdicts=True)
    assert ours.verdicts is not None
    assert plain.verdicts is not None
    torch.testing.assert_close(ours.fitness, plain.fitness, rtol=1e-6, atol=1e-6)
    assert torch.equal(ours.verdicts, plain.verdicts)


@given(dims, st.sampled_from(SHAPES))
@settings(max_examples=15, phases=PHASES)
def test_the_head_agrees(size: dict[str, int], shape: Shape) -> None:
    task, changes = drawn_head(size)
    assert_agree(head(task, shape=shape), HeadReference(task), changes)


@given(dims, st.sampled_from(SHAPES))
@settings(max_examples=15, phases=PHASES)
def test_the_tail_agrees(size: dict[str, int], shape: Shape) -> None:
    task, changes = drawn_tail(size, Activation())
    assert_agree(tail(task, shape=shape), TailReference(task), changes)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_tail_agrees_for_each_activation(name: str) -> None:
    task, changes = drawn_tail(SIZE, Activation(name, 0.3))
    assert_agree(tail(task), TailReference(task), changes)


def test_fitness_is_the_same_without_verdicts() -> None:
    task, changes = drawn_tail(SIZE, Activation())
    found = tail(task)(changes)
    assert found.verdicts is None
    assert torch.equal(found.fitness, tail(task)(changes, verdicts=True).fitness)


@pytest.mark.parametrize("kind", ["head", "tail"])
def test_a_hundred_classes_agree(kind: str) -> None:
    size = {**SIZE, "candidates": 2, "classes": 100}
    if kind == "head":
        task, changes = drawn_head(size)
        assert_agree(head(task), HeadReference(task), changes)
    else:
        other, changes = drawn_tail(size, Activation())
        assert_agree(tail(other), TailReference(other), changes)


@given(dims, st.sampled_from(SHAPES), st.randoms(use_true_random=False))
@settings(max_examples=6, phases=PHASES)
def test_no_block_and_no_neighbor_changes_a_bit(
    size: dict[str, int], shape: Shape, rng: random.Random
) -> None:
    task, changes = drawn_tail({**size, "searches": 1}, Activation("gelu"))
    whole = tail(task)(changes, verdicts=True)
    some = rng.sample(range(len(changes)), rng.randint(1, len(changes)))
    part = tail(task, shape=shape)(changes[some], verdicts=True)
    assert torch.equal(part.fitness, whole.fitness[some])
    assert part.verdicts is not None
    assert whole.verdicts is not None
    assert torch.equal(part.verdicts, whole.verdicts[some])


def test_shards_of_inputs_add_up_exactly() -> None:
    task, changes = drawn_head(SIZE)
    parts = [
        Head(
            columns=task.columns[:, rows],
            unit_of=task.unit_of,
            base=task.base[:, rows],
            scoring=Scoring(task.scoring.labels[rows], task.scoring.weights[rows]),
        )
        for rows in (slice(0, 17), slice(17, 50))
    ]
    total = sum((head(part)(changes).fitness for part in parts), torch.zeros(6, device=DEVICE))
    assert torch.equal(total, head(task)(changes).fitness)


def special_head(rows: list[list[float]], unit_of: list[int], label: int = 0) -> Head:
    base = torch.tensor(rows, dtype=torch.float32, device=DEVICE)
    inputs = base.shape[1]
    return Head(
        columns=torch.ones(len(unit_of), inputs, device=DEVICE),
        unit_of=torch.tensor(unit_of, dtype=torch.int32, device=DEVICE),
        base=base,
        scoring=Scoring(
            torch.full((inputs,), label, dtype=torch.int32, device=DEVICE),
            torch.ones(inputs, device=DEVICE),
        ),
    )


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("unit_of", [[0], [1], [0, 1], [2], [0, 1, 2]])
@pytest.mark.parametrize("label", [0, 2])
def test_ties_nan_and_infinities_count_as_in_plain_torch(unit_of: list[int], label: int) -> None:
    rows = [
        [1, NAN, 0, 0, INF, -INF, 0, -INF, INF, 2, -INF],
        [1, 0, NAN, 0, 0, 0, INF, -INF, INF, 3, 2],
        [1, 0, 0, NAN, 0, 0, 0, -INF, -INF, -INF, 1],
    ]
    right = [[1, 0, 0, 0, 1, 0, 0, 1, 1, 0, 0], [1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0]]
    changes = torch.zeros(2, len(unit_of), device=DEVICE)
    for column, wanted in zip(zip(*rows, strict=True), right[label // 2], strict=True):
        task = special_head([[value] for value in column], unit_of, label)
        assert_agree(head(task), HeadReference(task), changes)
        found = head(task)(changes, verdicts=True).verdicts
        assert found is not None
        assert found[0].tolist() == [wanted]


@pytest.mark.parametrize(("weight", "units"), [(3.75, 4), (2.5, 2), (3.5, 4), (0.4, 0)])
def test_fitness_is_rounded_to_the_nearest_whole_number_of_units(weight: float, units: int) -> None:
    task = special_head([[1.0], [0.0]], [0])
    scoring = Scoring(task.scoring.labels, torch.tensor([weight / 2**24], device=DEVICE))
    changes = torch.zeros(1, 1, device=DEVICE)
    task = replace(task, scoring=scoring)
    for evaluator in (head(task), HeadReference(task)):
        assert evaluator(changes).fitness.item() == units / 2**24


def test_a_candidate_of_nan_has_no_fitness_and_spoils_no_other() -> None:
    task, changes = drawn_tail(SIZE, Activation())
    wanted = tail(task)(changes).fitness
    changes[2] = torch.nan
    found = tail(task)(changes).fitness
    assert found[2].item() == 0
    kept = torch.tensor([0, 1, 3, 4, 5], device=DEVICE)
    assert torch.equal(found[kept], wanted[kept])


def drawn_conv(seed: int, inputs: int, space: int, columns: int, name: str = "relu") -> ConvTail:
    rng = torch.Generator().manual_seed(seed)
    return ConvTail(
        planes=draw(rng, inputs, 4, space),
        unit_of=integers(rng, 3, 4),
        before=draw(rng, inputs, 3, space),
        weight=draw(rng, 3, space, columns) / space,
        base=draw(rng, inputs, columns),
        activation=Activation(name, 0.3),
    )


@given(
    st.integers(0, 2**20),
    st.sampled_from([1, 17]),
    st.sampled_from([1, 32, 45]),
    st.sampled_from([3, 16, 130]),
    st.sampled_from(ACTIVATIONS),
    st.sampled_from([1, 9]),
)
@settings(max_examples=15, phases=PHASES)
def test_the_convolution_agrees(
    seed: int, inputs: int, space: int, columns: int, name: str, candidates: int
) -> None:
    task = drawn_conv(seed, inputs, space, columns, name)
    changes = draw(torch.Generator().manual_seed(seed + 1), candidates, 4)
    found, wanted = conv_tail(task), ConvReference(task)
    assert found.backend == "triton"
    torch.testing.assert_close(found(changes), wanted(changes), rtol=1e-5, atol=1e-5)


def test_no_neighbor_changes_a_bit_of_the_convolution() -> None:
    task = drawn_conv(3, 20, 40, 24)
    changes = draw(torch.Generator().manual_seed(1), 11, 4)
    whole = conv_tail(task)(changes)
    orders = [[8, 9, 10]]  # numpy's matrix product rounds by where in the tile a row stands
    orders += [] if INTERPRETED else [[9, 0, 4], [10, 3]]
    for order in orders:
        assert torch.equal(conv_tail(task)(changes[order]), whole[order])


@pytest.mark.skipif(INTERPRETED, reason="the interpreter multiplies in float32 whatever is asked")
@pytest.mark.parametrize(("precision", "error"), [("tf32", 2e-3), ("tf32x3", 1e-5), ("bf16", 2e-2)])
def test_rounded_products_err_as_their_format_does(precision: str, error: float) -> None:
    task = drawn_conv(3, 20, 40, 24)
    changes = draw(torch.Generator().manual_seed(1), 11, 4)
    found, wanted = conv_tail(task, precision=precision)(changes), ConvReference(task)(changes)
    torch.testing.assert_close(found, wanted, rtol=0, atol=error)
    same = replace(task, weight=torch.zeros_like(task.weight))  # the base is not rounded
    still = conv_tail(same, precision=precision)(changes)
    assert torch.equal(still, task.base.expand_as(still))
