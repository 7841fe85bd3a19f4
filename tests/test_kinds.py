"""Kinds of errors: how they are written, and which errors they hold."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dnnrepair.errors import SettingError
from dnnrepair.kinds import Kind, error_types, listed
from tests.judging import answered, valued

pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 3)), min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("6", Kind(6), "errors of class 6"),
        (" 6:* ", Kind(6), "errors of class 6"),
        ("6:0", Kind(6, 0), "class 6 taken for 0"),
        ("*:0", Kind(None, 0), "errors taken for class 0"),
        ("*", Kind(None), "all errors"),
        ("*:*", Kind(None), "all errors"),
        ("007:10", Kind(7, 10), "class 7 taken for 10"),
    ],
)
def test_a_kind_is_a_class_and_what_it_is_taken_for(text: str, kind: Kind, words: str) -> None:
    assert Kind.parse(text, "--fix") == kind
    assert str(kind) == words


@pytest.mark.parametrize("text", ["", "x", "6:", ":0", "6:0:1", "-1", "6-0", "6.0", "٣", "**"])
def test_what_is_no_kind_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match=r"--fix .* is unknown; give a class like 6"):
        Kind.parse(text, "--fix")


@pytest.mark.parametrize("text", ["6:6", "06:6", "0:0"])
def test_a_class_taken_for_itself_is_no_error(text: str) -> None:
    with pytest.raises(SettingError, match=f"--fix {text}: a class taken for itself is no error"):
        Kind.parse(text, "--fix")


def test_a_class_out_of_range_is_named_with_the_range() -> None:
    Kind(3, 0).check(4)
    for kind in (Kind(4), Kind(0, 4), Kind(None, 4)):
        with pytest.raises(
            SettingError, match="class 4 is out of range: the network has 4, 0 to 3"
        ):
            kind.check(4)


@given(pairs, st.none() | st.integers(0, 3), st.none() | st.integers(0, 3))
def test_a_kind_holds_what_its_classes_say(
    found: list[tuple[int, int]], true: int | None, taken: int | None
) -> None:
    labels, predicted = (torch.tensor(column) for column in zip(*found, strict=True))
    held = Kind(true, taken).holds(labels, predicted).tolist()
    assert held == [true in {None, a} and taken in {None, b} for a, b in found]


@given(pairs)
def test_error_types_are_counted(found: list[tuple[int, int]]) -> None:
    answers = answered(*zip(*found, strict=True), classes=4)
    wanted = Counter((a, b) for a, b in found if a != b and b >= 0)
    types = error_types(answers)
    assert dict(types) == wanted
    assert [n for _, n in types] == sorted(wanted.values(), reverse=True)


def test_a_message_lists_the_most_frequent_kinds() -> None:
    many = [(a, b) for a in range(4) for b in range(4) if a != b]
    answers = answered(*zip(*many, (0, 2), strict=True), classes=4)
    assert listed(answers).startswith("; errors (true:predicted) are 0:2 (2), 0:1 (1), ")
    assert listed(answers).endswith(" and 6 more")
    assert listed(answered([0, 1], [0, 2])) == "; errors (true:predicted) are 1:2 (1)"
    assert listed(answered([0], [0])) == listed(valued([False])) == ""
