"""What is to be fixed and kept, as options give it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from dnnrepair.cli.goals import files_of, goal_of
from dnnrepair.cli.options import fix_options, goal_options
from dnnrepair.errors import SettingError
from dnnrepair.goal import Goal
from dnnrepair.kinds import Kind

Options = Callable[[Callable[..., Any]], Callable[..., Any]]


def parsed(*arguments: str | Path, options: Options = goal_options) -> dict[str, Any]:
    """Return what a command with these options is given."""
    seen: dict[str, Any] = {}

    @click.command()
    @options
    def command(**given: Any) -> None:
        seen.update(given)

    command.main([str(argument) for argument in arguments], standalone_mode=False)
    return seen


def goal(*arguments: str | Path) -> Goal:
    return goal_of(parsed(*arguments))


def test_without_options_the_most_frequent_error_is_fixed_and_all_is_protected() -> None:
    assert goal() == goal_of(parsed(options=fix_options)) == Goal()


def test_each_option_has_its_place(here: Path) -> None:
    (here / "some.txt").write_text("3\n5\n")
    (here / "risk.toml").write_text('[costs]\n"1:0" = 7\n')
    found = goal(
        *("--fix", "6:0,3", "--fix", "all", "--protect", "1, 2", "--protect", "4"),
        *("--max-broken", "0.5%", "--risk", "risk.toml", "--tolerance", "1/4"),
    )
    assert found.fix == ("6:0", "3", "all")
    assert found.protect == ("1", "2", "4")
    assert found.max_broken == 0.005
    assert found.risk.costs == ((Kind(1, 0), 7.0),)
    assert found.tolerance == 0.25
    assert goal("--fix-indices", "some.txt").fix_indices == (3, 5)
    assert goal("--protect", "some.txt").protect_indices == (3, 5)


@pytest.mark.parametrize(
    ("text", "share"), [("0.5%", 0.005), ("0.005", 0.005), ("1/200", 0.005), ("0", 0), ("100 %", 1)]
)
def test_a_share_may_be_a_percentage(text: str, share: float) -> None:
    assert goal("--max-broken", text).max_broken == share


@pytest.mark.parametrize("text", ["5", "-1%", "101%", "few", "%", "nan", "0.5%%", "1/0"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"is not a share such as 0.5% or 0.005"):
        goal("--max-broken", text)


def test_what_is_protected_is_classes_or_one_file() -> None:
    for arguments in (("6", "some.txt"), ("a.txt", "b.txt")):
        with pytest.raises(SettingError, match="give either classes or one file of indices"):
            goal("--protect", arguments[0], "--protect", arguments[1])
    with pytest.raises(SettingError, match=r"cannot read clas"):
        goal("--protect", "clas")


def test_the_files_that_options_name_are_inputs() -> None:
    named = ("--fix-indices", "a.txt", "--protect", "b.npy", "--risk", "c.toml")
    assert files_of(parsed(*named)) == [Path("a.txt"), Path("b.npy"), Path("c.toml")]
    assert files_of(parsed("--protect", "all")) == files_of({}) == []
