"""``dnnrepair compare`` as a user meets it: one split, every method, nothing written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import validate

from dnnrepair.cli.patch import METHODS
from dnnrepair.methods.method import methods
from tests.cli.conftest import Said
from tests.cli.repaired import Files, written

Run = Callable[..., Said]
CHEAP = (
    *("--methods", "anchored,last-layer,random,arachne", "--fix", "all"),
    *("--set", "anchored.weights=1,5", "--set", "anchored.steps=20"),
    *("--set", "last-layer.weights=1,5", "--set", "last-layer.steps=20"),
    *("--set", "random.candidates=50", "--set", "arachne.candidates=8"),
    *("--set", "arachne.generations=4", "--set", "arachne.alphas=1,4"),
)


@pytest.fixture
def files(here: Path) -> Files:
    return written(here)


def test_all_methods_are_judged_on_the_same_split(dnnrepair: Run, files: Files) -> None:
    before = sorted(path.name for path in files.folder.iterdir())
    said = dnnrepair("compare", *files.arguments(*CHEAP, "--output-format", "json"))
    report = json.loads(said.out)
    validate(report, json.loads(dnnrepair("schema", "--kind", "patch").out))
    assert said.code == 0
    assert report["methods"] == ["anchored", "last-layer", "random", "arachne"]
    assert {point["method"] for point in report["points"]} == set(report["methods"])
    assert len({json.dumps(point["held_out"]["before"]) for point in report["points"]}) == 1
    assert all(point["patch"] == "" for point in report["points"])
    assert {*before, "__pycache__"} >= {path.name for path in files.folder.iterdir()}


def test_a_method_finds_alone_what_it_finds_among_others(dnnrepair: Run, files: Files) -> None:
    alone = dnnrepair(
        *("patch", *files.arguments("--method", "last-layer", "--fix", "all")),
        *("--set", "last-layer.weights=1,5", "--set", "last-layer.steps=20"),
        *("--output-format", "json", "--patch", "alone.patch"),
    )
    among = dnnrepair("compare", *files.arguments(*CHEAP, "--output-format", "json"))

    def points(said: Said) -> list[tuple[str, object, object]]:
        found = json.loads(said.out)["points"]
        return [
            (point["name"], point["selection"], point["held_out"])
            for point in found
            if point["method"] == "last-layer"
        ]

    assert points(alone) == points(among)


def test_a_page_draws_the_trade_off(dnnrepair: Run, files: Files) -> None:
    said = dnnrepair("compare", *files.arguments(*CHEAP, "--output", "report.html"))
    assert (said.code, said.out) == (0, "")
    page = (files.folder / "report.html").read_text()
    assert "<svg" in page
    assert all(name in page for name in ("anchored", "last-layer", "random", "arachne"))
    assert "<script" not in page


def test_one_that_cannot_work_here_is_listed_as_skipped(dnnrepair: Run, files: Files) -> None:
    said = dnnrepair("compare", *files.arguments(*CHEAP, "--layer", "0", "--output-format", "json"))
    report = json.loads(said.out)
    assert {point["method"] for point in report["points"]} == {"arachne", "random"}
    assert [line.partition(":")[0] for line in report["skipped"]] == ["anchored", "last-layer"]
    assert all("not among 0" in line for line in report["skipped"])


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (("--methods", "anchord"), 2, "did you mean 'anchored'"),
        (("--methods", "anchored", "--set", "random.count=3"), 2, "random is not used here"),
        (("--output", "model.pt"), 2, "will not write model.pt"),
        (("--methods", "anchored", "--fix", "1:1"), 2, "--fix 1:1"),
    ],
)
def test_bad_usage_is_refused_in_one_line(
    dnnrepair: Run, files: Files, more: tuple[str, ...], code: int, words: str
) -> None:
    said = dnnrepair("compare", *files.arguments(*more))
    assert (said.code, said.out) == (code, "")
    assert words in said.err
    assert said.err.count("\n") == 1


def test_every_method_that_is_registered_can_be_named() -> None:
    assert set(methods) <= set(METHODS)
