"""Three parts of the data: disjoint, exhaustive, each with its share of every kind of answer."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset

from dnnrepair.answers import Answers
from dnnrepair.data import ArraySamples, samples_of
from dnnrepair.errors import DataError, DnnRepairError
from dnnrepair.goal import Aim, Goal, aim
from dnnrepair.splitting import SHARES, Cut, cut, in_memory, part_of, whole
from tests.judging import answered, valued

Pairs = list[tuple[int, int]]
pairs = st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 2)), min_size=20, max_size=90)
fixes = st.sampled_from([("top",), ("all",), ("0",), ("*:1",)])
RIGHT: Pairs = [(0, 0)] * 20


def parts(found: Cut) -> list[list[int]]:
    return [part.tolist() for part in (found.search, found.selection, found.held_out)]


@given(pairs, fixes, st.integers(0, 99), st.sampled_from([SHARES, (0.7, 0.3, 0.0)]))
def test_each_kind_of_answer_gives_each_part_its_share(
    found: Pairs, fix: tuple[str, ...], seed: int, shares: tuple[float, ...]
) -> None:
    answers = answered(*zip(*found, strict=True))
    try:
        meant = aim(Goal(fix=fix), answers)
        where = cut(answers, meant, seed, shares)
    except DnnRepairError:
        return
    places = parts(where)
    assert sorted(chain(*places)) == list(range(len(found)))
    targets = meant.targets.tolist()
    kinds = Counter((*pair, target) for pair, target in zip(found, targets, strict=True))
    for part, share in zip(places, shares, strict=True):
        assert abs(len(part) - share * len(found)) < 1.5
        assert abs(sum(targets[i] for i in part) - share * sum(targets)) < 1.5
        assert bool(part) == any(targets[i] for i in part) == bool(share)
        mine = Counter((*found[i], targets[i]) for i in part)
        assert all(abs(mine[kind] - share * count) < 1 for kind, count in kinds.items())
    assert parts(cut(answers, meant, seed, shares)) == places


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=4, max_size=12),
    st.tuples(*[st.integers(4, 12)] * 3),
)
def test_four_targets_of_any_kinds_leave_one_for_each_part(
    wrong: Pairs, right: tuple[int, ...]
) -> None:
    wrong = [(a, b if b != a else (a + 1) % 3) for a, b in wrong]
    others = [(kind, kind) for kind, count in enumerate(right) for _ in range(count)]
    answers = answered(*zip(*wrong, *others, strict=True))
    places = parts(cut(answers, aim(Goal(fix=("all",)), answers), seed=1))
    assert all(any(i < len(wrong) for i in part) for part in places)


def test_inputs_without_classes_are_cut_by_right_and_wrong() -> None:
    answers = valued([False] * 10 + [True] * 30)
    places = parts(cut(answers, aim(Goal(), answers), seed=0))
    assert [len(part) for part in places] == [16, 8, 16]
    assert [sum(i < 10 for i in part) for part in places] == [4, 2, 4]


def test_another_seed_cuts_otherwise() -> None:
    answers = valued([False] * 10 + [True] * 30)
    meant = aim(Goal(), answers)
    assert parts(cut(answers, meant, seed=0)) != parts(cut(answers, meant, seed=1))


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        (20, 2, "no input to fix is left for the selection part of 22 inputs; give more data"),
        (2, 20, "no input it gets right is left for the selection part of 22 inputs"),
    ],
)
def test_a_part_with_nothing_to_fix_or_to_keep_is_refused(
    right: int, wrong: int, words: str
) -> None:
    answers = valued([True] * right + [False] * wrong)
    with pytest.raises(DataError, match=words):
        cut(answers, aim(Goal(), answers, fewest=1), seed=0)


def prepared() -> tuple[ArraySamples, Answers, Aim]:
    found = [(1, 2)] * 6 + [(0, 1)] * 3 + RIGHT
    answers = answered(*zip(*found, strict=True))
    samples = ArraySamples((torch.arange(len(found)).float(),), answers.labels, "data")
    return samples, answers, aim(Goal(fix=("1",), protect=("0",)), answers)


def test_a_part_holds_what_is_known_of_its_inputs() -> None:
    samples, answers, meant = prepared()
    places = torch.tensor([7, 2, 20])
    part = part_of(samples, answers, meant, places, "some")
    assert part.samples.inputs[0].tolist() == [7, 2, 20]
    assert part.samples.targets is not None
    assert part.samples.targets.tolist() == [0, 1, 0]
    assert part.samples.name == "some"
    assert part.correct.tolist() == part.protected.tolist() == [False, False, True]
    assert part.targets.tolist() == [False, True, False]
    assert part.cost.tolist() == [1, 1, 1]


def test_the_whole_is_the_part_with_everything() -> None:
    samples, answers, meant = prepared()
    one = whole(samples, answers, meant)
    other = part_of(samples, answers, meant, torch.arange(samples.size), "data")
    assert one.samples is samples
    for name in ("correct", "targets", "protected", "cost"):
        assert torch.equal(getattr(one, name), getattr(other, name))


def test_batches_are_gathered_once_in_order() -> None:
    x, y = torch.randn(7, 3), torch.arange(7)
    loader: DataLoader[Any] = DataLoader(TensorDataset(x, y), batch_size=3)
    found = in_memory(samples_of(loader))
    assert torch.equal(found.inputs[0], x)
    assert found.targets is not None
    assert torch.equal(found.targets, y)
    assert in_memory(found) is found


def test_data_without_labels_and_no_data_are_refused() -> None:
    for samples, words in (
        (None, "there are no data"),
        (samples_of(torch.ones(3, 2)), "no labels"),
    ):
        with pytest.raises(DataError, match=f"{words}; .* give labeled data with --data"):
            in_memory(samples)
