"""``dnnrepair demo`` finds what it has planted."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import pandas as pd

from dnnrepair.cli.census import NAMES

if TYPE_CHECKING:
    from pathlib import Path


def test_the_demo_finds_what_it_has_planted(dnnrepair: Any, here: Path) -> None:
    said = dnnrepair("demo")
    assert said.code == 0, said
    for code in ("ACT001", "BN002", "GRD004", "OUT001"):
        assert code in said.out
    path = here / "dnnrepair-report.html"
    assert str(path) in said.out.splitlines()[-1]
    assert path.read_text().lower().startswith("<!doctype html")


def test_the_demo_checks_the_output_first(dnnrepair: Any, here: Path) -> None:
    said = dnnrepair("demo", "--output", here)
    assert (said.code, said.out) == (2, "")
    assert "it is a folder" in said.err


def test_the_census_says_that_it_is_made_up_and_its_commands_run(
    dnnrepair: Any, here: Path, monkeypatch: Any
) -> None:
    folder = here / "deep" / "people"
    said = dnnrepair("demo", "--census", folder)
    assert said.code == 0, said.err
    assert "Synthetic: these people were drawn at random" in said.out
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)
    assert "no person stands behind them" in (folder / "prep.toml").read_text()
    train, rest = (pd.read_csv(folder / name) for name in NAMES[:2])
    assert len(pd.concat([train, rest]).drop_duplicates()) == len(train) + len(rest)
    monkeypatch.chdir(folder)
    commands = [shlex.split(line) for line in said.out.splitlines() if "dnnrepair a" in line]
    assert len(commands) == 2
    for _, *arguments in commands:
        assert dnnrepair(*arguments, "--draws", "100").code == 1


def test_the_census_is_the_same_for_the_same_seed(dnnrepair: Any, here: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert dnnrepair("demo", "--census", here / name, "--seed", str(seed)).code == 0
    first, again, other = ((here / n / NAMES[2]).read_bytes() for n in "abc")
    assert first == again != other


def test_the_census_overwrites_nothing(dnnrepair: Any, here: Path) -> None:
    (here / "model.pt2").write_text("mine")
    said = dnnrepair("demo", "--census", here)
    assert (said.code, said.out) == (2, "")
    assert "model.pt2 exists already; name another folder" in said.err
    assert [path.name for path in here.iterdir()] == ["model.pt2"]
    said = dnnrepair("demo", "--census", here / "model.pt2" / "inside")
    assert said.code == 2
    assert "cannot make the folder" in said.err
