"""What reaches a terminal."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnnrepair.cli import words
from dnnrepair.cli.values import names, number, numbers, shape

if TYPE_CHECKING:
    import click

NOTHING: click.Context = None  # type: ignore[assignment]
OPTION: click.Parameter = None  # type: ignore[assignment]


@given(st.text())
def test_one_line_is_one_printable_line(text: str) -> None:
    line = words.one_line(text)
    assert line.isprintable()
    assert words.one_line(line) == line


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_a_stream_without_the_character_gets_another(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    words.write("✔ fine")
    assert raw.getvalue() == (b"? fine\n" if encoding != "utf-8" else "✔ fine\n".encode())


@pytest.mark.parametrize(
    ("environment", "colored"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
)
def test_color_is_a_matter_of_the_environment(environment: dict[str, str], colored: bool) -> None:
    assert words.colored(environment) is colored


@given(st.lists(st.integers(1, 999), min_size=1), st.sampled_from([",", "x", ", "]))
def test_shapes_are_read_back(sizes: list[int], between: str) -> None:
    assert shape(NOTHING, OPTION, between.join(map(str, sizes))) == tuple(sizes)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_numbers_are_read_back(values: list[float]) -> None:
    assert numbers(NOTHING, OPTION, ",".join(map(repr, values))) == tuple(values)


def test_fractions_are_numbers() -> None:
    assert number(NOTHING, OPTION, "1/255") == 1 / 255
    assert number(NOTHING, OPTION, None) is None


def test_names_may_come_in_several_ways() -> None:
    assert names(NOTHING, OPTION, "a, b,") == ("a", "b")
    assert names(NOTHING, OPTION, ("a,b", "c")) == ("a", "b", "c")
    assert names(NOTHING, OPTION, None) == ()
