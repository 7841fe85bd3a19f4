"""A repair in a terminal: in order, in 80 columns, without color."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len

from dnnrepair.formats import render
from tests.formats.repairs import ACCEPTED, COMPARED, EMPTY, REFUSED, costly

if TYPE_CHECKING:
    from collections.abc import Callable

    from dnnrepair.patch_report import PatchReport

ALL = {"accepted": ACCEPTED, "compared": costly(COMPARED), "refused": REFUSED, "empty": EMPTY}


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("name", ALL)
def test_the_output_does_not_drift(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"repair_{name}.txt", render(ALL[name], "text"))


@pytest.mark.parametrize("width", [40, 67, 68, 80, 120])
@pytest.mark.parametrize("report", ALL.values(), ids=ALL)
def test_it_fits_and_loses_nothing(report: PatchReport, width: int) -> None:
    text = render(report, "text", width=width)
    assert all(cell_len(line) <= width for line in text.split("\n"))
    assert "…" not in text


def test_it_says_in_order_what_was_asked_what_came_of_it_and_what_it_cost() -> None:
    text = words(render(ACCEPTED, "text"))
    parts = (
        "To fix class 6 taken for 0: 159 inputs, 64 of them held out",
        "at most 1 % of what is right may break",
        (
            "fixed 43 of 64 targets (67.2 %, 95 % interval 54.3 to 78.4 %); "
            "broke 31 of 3,540 that were right (0.88 %, 95 % interval 0.60 to 1.24 %); "
            "accuracy 88.5 → 88.8 % (+0.35 points, paired 95 % interval -0.05 to +0.75)"
        ),
        "its interval reaches below 0",
        "Class 0 pays most: 21 right inputs broke, mostly taken for class 6",
        "Accepted: anchored, weight 10, anchor 10",
        "Written to fashion cnn.patch.",
        "Classes",
        "Trade-off",
        "Split",
        "Notes",
        "seed 7",
        "2.44 s in all",
    )
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_a_refusal_comes_first_with_its_reason() -> None:
    text = words(render(REFUSED, "text"))
    refusal = text.index("✖ No change was accepted, and nothing was written. Reason: no change")
    assert refusal < text.index("To fix")
    assert "Written" not in text
    assert text.count("not acceptable, 1 change: it breaks 0.28 % of what was right") == 1


def test_what_a_risk_costs_is_told_only_where_it_differs_from_counts() -> None:
    assert "Cost of errors" not in render(COMPARED, "text")
    text = words(render(costly(COMPARED), "text"))
    assert "held-out part: 1,150 → 1,115" in text
    assert "selection part: 590 → 562" in text


def test_a_method_that_could_not_work_is_named() -> None:
    assert COMPARED.skipped[0] in render(COMPARED, "text", width=100)


def test_color_changes_nothing_but_color() -> None:
    colored = render(COMPARED, "text", color=True)
    assert "\x1b[" in colored
    plain = re.sub(r"\x1b\[[\d;]*m", "", colored)
    assert [line.rstrip() for line in plain.split("\n")] == render(COMPARED, "text").split("\n")


def test_ascii_says_the_same() -> None:
    plain = render(COMPARED, "text", ascii_only=True)
    assert plain.isascii()
    assert len(plain.split("\n")) == len(render(COMPARED, "text").split("\n"))
    assert "> chosen" in plain


def test_an_interrupted_search_says_so() -> None:
    text = words(render(replace(ACCEPTED, interrupted=True), "text"))
    assert "Interrupted: fixed 43 of 64 targets" in text
    assert "until then" in text
