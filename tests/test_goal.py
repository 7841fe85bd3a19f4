"""From what the user asks for to inputs, and every way in which that cannot be."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dnnrepair.errors import DataError, DnnRepairError, NothingToFixError, SettingError
from dnnrepair.goal import Aim, Goal, aim
from dnnrepair.kinds import Kind
from dnnrepair.risk import Risk
from tests.judging import answered, valued

#            1:2 five times          0:1 four times  2:0, NaN    right
LABELS = (*(1, 1, 1, 1, 1), *(0, 0, 0, 0), *(2, 2), *(0, 1, 2, 0, 1, 2))
ANSWER = (*(2, 2, 2, 2, 2), *(1, 1, 1, 1), *(0, -1), *(0, 1, 2, 0, 1, 2))
ANSWERS = answered(LABELS, ANSWER)
VALUES = valued([False] * 5 + [True] * 5)
TOKENS = valued([False] * 5 + [True] * 5, classes=9)
RIGHT = range(11, 17)


def where(mask: torch.Tensor) -> list[int]:
    return mask.nonzero()[:, 0].tolist()


def aimed(fewest: int = 1, **goal: Any) -> Aim:
    return aim(Goal(**goal), ANSWERS, fewest=fewest)


@pytest.mark.parametrize(
    ("fix", "places", "words"),
    [
        (("top",), range(5), "class 1 taken for 2"),
        (("1:2",), range(5), "class 1 taken for 2"),
        (("0:1",), range(5, 9), "class 0 taken for 1"),
        (("2",), (9, 10), "errors of class 2"),
        (("2:0",), (9,), "class 2 taken for 0"),
        (("*:0",), (9,), "errors taken for class 0"),
        (("all",), range(11), "all errors"),
        (("2", "1:2"), (*range(5), 9, 10), "errors of class 2, class 1 taken for 2"),
    ],
)
def test_the_errors_named_are_the_targets(fix: tuple[str, ...], places: Any, words: str) -> None:
    found = aimed(fix=fix)
    assert where(found.targets) == list(places)
    assert found.words == words
    assert where(found.protected) == list(RIGHT)
    seen = {(LABELS[i], ANSWER[i]) for i in places if ANSWER[i] >= 0}
    assert set(found.pairs) == seen
    assert found.notes == ("1 answers are NaN or infinite; they count as wrong",)


def test_the_most_frequent_error_is_the_default_and_without_classes_all_are() -> None:
    assert where(aim(Goal(), ANSWERS).targets) == list(range(5))
    for answers in (VALUES, TOKENS):
        found = aim(Goal(), answers)
        assert where(found.targets) == list(range(5))
        assert (found.words, found.pairs) == ("all errors", ())


def test_named_inputs_outweigh_kinds_and_right_ones_are_left_out() -> None:
    found = aimed(fix=("0:1",), fix_indices=(16, 2, 0, 9, 2, 12))
    assert where(found.targets) == [0, 2, 9]
    assert found.words == "chosen inputs"
    assert found.notes[0] == "2 named inputs are right already and were left out"
    assert set(found.pairs) == {(1, 2), (2, 0)}
    assert where(aim(Goal(fix_indices=(3, 9)), VALUES, fewest=1).targets) == [3]


def test_classes_or_inputs_may_be_protected() -> None:
    assert where(aimed(protect=("1",)).protected) == [12, 15]
    assert where(aimed(protect=("1", "2")).protected) == [12, 13, 15, 16]
    assert where(aimed(protect=("1", "all")).protected) == list(RIGHT)
    found = aimed(fix=("1:2",), protect_indices=(13, 5, 11))
    assert where(found.protected) == [11, 13]
    assert found.notes[0] == "1 protected inputs are wrong already and were left out"


def test_costs_come_from_the_risk() -> None:
    risk = Risk(costs=((Kind(1, 2), 5.0), (Kind(2), 3.0)), default=2.0)
    cost = aimed(risk=risk).cost.tolist()
    assert cost[:11] == [5.0] * 5 + [2.0] * 4 + [3.0, 3.0]
    assert cost[11:] == [2.0, 5.0, 3.0] * 2  # the worst that could become of each


def refused(kind: type[DnnRepairError], words: str, **goal: Any) -> None:
    with pytest.raises(kind, match=re.escape(words)):
        aim(Goal(**goal), ANSWERS)


def test_where_there_is_no_such_error_the_message_says_which_there_are() -> None:
    kinds = "; errors (true:predicted) are 1:2 (5), 0:1 (4), 2:0 (1)"
    words = "no input is misclassified as asked (class 1 taken for 0)" + kinds
    refused(NothingToFixError, words, fix=("1:0",))
    refused(DataError, kinds, fix=("2:0",))


def test_fewer_than_four_are_too_few_unless_fewer_will_do() -> None:
    refused(DataError, "2 to fix (errors of class 2) are too few: at least 4 are", fix=("2",))
    refused(DataError, "3 to fix (chosen inputs) are too few", fix_indices=(0, 1, 2))
    assert int(aim(Goal(fix=("0:1",)), ANSWERS).targets.sum()) == 4
    assert int(aimed(fix=("2",), fewest=2).targets.sum()) == 2


def test_where_all_is_right_there_is_nothing_to_do() -> None:
    with pytest.raises(NothingToFixError, match="gets all 3 inputs right"):
        aim(Goal(fix=("7:7",)), answered((0, 1, 2), (0, 1, 2)))
    refused(NothingToFixError, "gets all 2 inputs that were named right", fix_indices=(11, 12))


def test_where_nothing_is_right_or_defined_there_is_nothing_to_keep() -> None:
    with pytest.raises(DataError, match=r"gets none of 5 inputs right.*check labels"):
        aim(Goal(), answered([0] * 5, [1] * 5))
    with pytest.raises(DataError, match="every answer is NaN or infinite; `dnnrepair diagnose`"):
        aim(Goal(), answered([0] * 5, [-1] * 5))
    with pytest.raises(DataError, match="every wrong answer is NaN"):
        aim(Goal(), answered([0] * 6, [-1] * 5 + [0]))
    found = aim(Goal(fix=("0",)), answered([0] * 6, [-1] * 5 + [0]))
    assert (int(found.targets.sum()), found.pairs) == (5, ())


def test_what_cannot_be_is_a_setting_to_change() -> None:
    for fix, words in (
        ("1:1", "--fix 1:1: a class taken for itself is no error"),
        ("3", "class 3 is out of range: the network has 3, 0 to 2"),
        ("0:3", "class 3 is out of range"),
        ("person", "--fix person is unknown"),
    ):
        refused(SettingError, words, fix=(fix,))
    for protect, words in (
        ("3", "class 3 is out of range"),
        ("1:2", "--protect 1:2 is unknown; give all, a class like 6, or a file"),
        ("*", "--protect * is unknown"),
        ("top", "--protect top is unknown"),
    ):
        refused(SettingError, words, protect=(protect,))
    refused(SettingError, "input 17 is out of range; the data have 17", fix_indices=(17,))
    refused(SettingError, "input -1 is out of range", protect_indices=(-1,))
    refused(SettingError, "no input is named", fix_indices=())


def test_what_is_to_be_fixed_cannot_be_protected() -> None:
    words = "2 inputs are to be fixed and protected; what is wrong cannot stay right"
    refused(SettingError, words, fix=("1:2",), protect_indices=(0, 4, 9, 11))


@pytest.mark.parametrize(
    ("answers", "words"),
    [(VALUES, "the network predicts values"), (TOKENS, "an input has several labels")],
)
def test_classes_cannot_be_named_where_inputs_have_none(answers: Any, words: str) -> None:
    for goal, option in ((Goal(fix=("6:0",)), "--fix 6:0"), (Goal(protect=("6",)), "--protect 6")):
        with pytest.raises(SettingError, match=f"{option} names a class, and {words}; .*indices"):
            aim(goal, answers)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 2)), min_size=1, max_size=30),
    st.sampled_from([("top",), ("all",), ("0",), ("*:1",), ("2:0", "1")]),
    st.sampled_from([("all",), ("0",), ("1", "2")]),
)
def test_targets_are_wrong_and_what_is_protected_is_right(
    pairs: list[tuple[int, int]], fix: tuple[str, ...], protect: tuple[str, ...]
) -> None:
    answers = answered(*zip(*pairs, strict=True))
    try:
        found = aim(Goal(fix=fix, protect=protect), answers)
    except DnnRepairError:
        return
    assert int(found.targets.sum()) >= 4
    assert not (found.targets & answers.correct).any()
    assert not (found.protected & ~answers.correct).any()
    assert (found.cost > 0).all()
