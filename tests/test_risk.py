"""What errors cost: as written in TOML, and as it weighs on inputs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnnrepair.errors import SettingError
from dnnrepair.kinds import Kind
from dnnrepair.risk import Risk
from tests.judging import answered, valued

CLASSES = 3
ROAD = """
default = 2

[costs]
"0:*" = 3.5
"*:2" = 4
"0:1" = 10
"*" = 1
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "risk.toml"


def read(path: Path, text: str) -> Risk:
    path.write_text(text)
    return Risk.read(path)


def test_the_one_with_fewer_stars_counts_and_of_two_the_later(path: Path) -> None:
    wanted = [[0, 10, 4], [1, 0, 4], [1, 1, 0]]
    assert read(path, ROAD).table(CLASSES).tolist() == wanted
    swapped = ROAD.replace('"*:2" = 4\n', "").replace("[costs]\n", '[costs]\n"*:2" = 4\n')
    assert read(path, swapped).table(CLASSES)[0].tolist() == [0, 10, 3.5]


def test_what_is_not_named_costs_the_default(path: Path) -> None:
    assert read(path, "default = 2").table(2).tolist() == [[0, 2], [2, 0]]
    assert read(path, "") == Risk()
    assert Risk().of(valued([True, False])).tolist() == [1, 1]


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 2)), min_size=1, max_size=20),
    st.integers(0, 5),
)
def test_an_input_costs_what_it_is_or_at_worst_could_be(
    pairs: list[tuple[int, int]], seed: int
) -> None:
    costs = {(a, b): 1 + (7 * a + 3 * b + seed) % 5 for a in range(3) for b in range(3) if a != b}
    risk = Risk(costs=tuple((Kind(*pair), float(cost)) for pair, cost in costs.items()))
    wanted = [
        costs[a, b] if b not in {a, -1} else max(costs[a, c] for c in range(3) if c != a)
        for a, b in pairs
    ]
    assert risk.of(answered(*zip(*pairs, strict=True))).tolist() == wanted


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("costs = 3", "'costs' is unknown; give default = 1 and a table"),
        ("cost = 3", "'cost' is unknown"),
        ('[costs]\n"a:b" = 1', "a:b is unknown; give a class like 6"),
        ('[costs]\n"1:1" = 1', "1:1: a class taken for itself"),
        ('[costs]\n"1:0" = 0', "a cost is a number above 0"),
        ('[costs]\n"1:0" = -1', "a cost is a number above 0"),
        ('[costs]\n"1:0" = nan', "a cost is a number above 0"),
        ('[costs]\n"1:0" = inf', "at most a million"),
        ('[costs]\n"1:0" = true', "= True; a cost is a number"),
        ('[costs]\n"1:0" = "high"', "= 'high'; a cost is a number"),
        ("default = [1]", r"default = \[1\]; a cost is a number"),
        ("[costs", "cannot read .* give TOML"),
    ],
)
def test_what_is_no_cost_is_refused(path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingError, match=words) as caught:
        read(path, text)
    assert str(path) in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(path: Path) -> None:
    with pytest.raises(SettingError, match=r"cannot read .*risk.toml"):
        Risk.read(path)
    path.write_bytes(b"\xff")
    with pytest.raises(SettingError, match=r"cannot read .*risk.toml"):
        Risk.read(path)


def test_costs_must_fit_the_network(path: Path) -> None:
    risk = read(path, '[costs]\n"0:3" = 2')
    with pytest.raises(SettingError, match="class 3 is out of range: the network has 3, 0 to 2"):
        risk.of(answered([0], [1]))
    with pytest.raises(SettingError, match="one class per input; here the network predicts values"):
        risk.of(valued([True]))
    with pytest.raises(SettingError, match="here an input has several labels"):
        risk.of(valued([True], classes=9))
