"""The fields of a rule are its settings."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnnrepair.errors import SettingError
from dnnrepair.finding import rules
from dnnrepair.settings import changed, configured, settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.finding import Finding, Skip
    from dnnrepair.observation import Observations


@dataclass(frozen=True, slots=True)
class Example:
    """A rule with every kind of setting."""

    code: ClassVar[str] = "XYZ001"
    name: ClassVar[str] = "example"
    needs: ClassVar[frozenset[type]] = frozenset()
    wants: ClassVar[frozenset[type]] = frozenset()
    share: float = 0.5  # of units, in [0, 1]
    least: int = 8  # units, at least 1
    # decades below the median
    depth: float = 2.0
    shift: float = -1.0
    strict: bool = False
    mode: str = "mean"

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:  # noqa: ARG002
        yield from ()


def test_comments_are_meanings_and_ranges() -> None:
    known = settings_of(Example)
    assert list(known) == ["share", "least", "depth", "shift", "strict", "mode"]
    assert known["share"].meaning == "of units, in [0, 1]"
    assert known["depth"].meaning == "decades below the median"
    spans = {name: (setting.low, setting.high) for name, setting in known.items()}
    assert spans["share"] == (0, 1)
    assert spans["least"] == (1, inf)
    assert spans["depth"] == (0, inf)  # a positive limit stays positive
    assert spans["shift"] == (-inf, inf)


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("share", "0.25", 0.25),
        ("share", 1, 1.0),
        ("least", "3", 3),
        ("strict", "yes", True),
        ("strict", "false", False),
        ("mode", "median", "median"),
    ],
)
def test_values_are_read_by_type(name: str, value: object, meant: object) -> None:
    read = getattr(configured(Example, {name: value}, "XYZ001"), name)
    assert read == meant
    assert type(read) is type(meant)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("share", 1.5),
        ("share", "nan"),
        ("share", float("inf")),
        ("share", True),
        ("share", [1]),
        ("least", 0),
        ("least", 2.5),
        ("least", "2.5"),
        ("depth", -1),
        ("strict", 1),
        ("strict", "maybe"),
        ("mode", 3),
    ],
)
def test_other_values_are_refused(name: str, value: object) -> None:
    with pytest.raises(SettingError, match=rf"XYZ001\.{name} takes .*default"):
        configured(Example, {name: value}, "XYZ001")


def test_an_unknown_setting_names_the_nearest() -> None:
    with pytest.raises(SettingError, match="did you mean 'share'"):
        configured(Example, {"shar": 1}, "XYZ001")


@given(st.floats(0, 1), st.integers(1, 99))
def test_what_is_changed_is_what_was_set(share: float, least: int) -> None:
    wanted = {"share": share, "least": least}
    defaults = {"share": 0.5, "least": 8}
    found = changed(configured(Example, wanted, "XYZ001"))
    assert found == {name: v for name, v in wanted.items() if v != defaults[name]}


@pytest.mark.parametrize("code", list(rules))
def test_the_defaults_of_every_rule_are_in_range(code: str) -> None:
    known = settings_of(rules[code])
    configured(rules[code], {name: setting.default for name, setting in known.items()}, code)
    assert all(setting.meaning for setting in known.values()), "a limit without a comment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Searching:
    """A method with settings that rules do not have."""

    name: ClassVar[str] = "searching"
    alphas: tuple[float, ...] = (1.0, 10.0)  # above 0, in [0.5, 100]
    shifts: tuple[float, ...] = (-1.0, 1.0)
    count: int | None = None  # of weights, at least 1


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("alphas", "2", (2.0,)),
        ("alphas", " 1, 2.5,3e1 ", (1.0, 2.5, 30.0)),
        ("alphas", (1.0, 2.0), (1.0, 2.0)),
        ("shifts", "-5", (-5.0,)),
        ("count", "12", 12),
        ("count", 12, 12),
    ],
)
def test_numbers_with_commas_and_optional_ones_are_read(
    name: str, value: object, meant: object
) -> None:
    assert getattr(configured(Searching, {name: value}, "searching"), name) == meant


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("alphas", ""),
        ("alphas", "1,,2"),
        ("alphas", "1,nan"),
        ("alphas", "1,inf"),
        ("alphas", "1,0.4"),
        ("alphas", "1;2"),
        ("alphas", 3.0),
        ("shifts", "a"),
        ("count", "0"),
        ("count", "1.5"),
        ("count", "none"),
        ("count", True),
    ],
)
def test_of_those_each_number_is_checked(name: str, value: object) -> None:
    with pytest.raises(SettingError, match=rf"searching\.{name} takes .*default"):
        configured(Searching, {name: value}, "searching")


def test_what_is_optional_keeps_its_default() -> None:
    assert configured(Searching, {}, "searching").count is None
    assert settings_of(Searching)["count"].kind is int
    assert settings_of(Searching)["alphas"].kind is tuple
