"""What a benchmark answers, for people and for programs."""

from __future__ import annotations

import json
from math import inf, nan

import pytest

from dnnrepair.bench.result import BenchResult, Figure, Table, as_json, as_text

RESULT = BenchResult(
    "observe",
    (Table("times", ("network", "ratio"), (("cnn", "1.3"), ("a|b", "2"))),),
    (Figure("ratio", "at most 2", 1.3, met=True), Figure("gone", "at most 1", None, met=None)),
    ("no GPU here",),
)


def test_the_text_is_aligned_markdown() -> None:
    text = as_text(RESULT)
    assert "### times\n\n| network | ratio |\n| ------- | ----- |\n| cnn     | 1.3   |" in text
    assert "a\\|b" in text
    assert "Skipped: no GPU here" in text
    assert "| ratio  | at most 2 | 1.3      | yes |" in text


@pytest.mark.parametrize("value", [nan, inf, None])
def test_json_says_null_for_what_is_no_number(value: float | None) -> None:
    read = json.loads(as_json(BenchResult("x", (), (Figure("f", "b", value, met=False),))))
    assert read["figures"] == [{"name": "f", "bound": "b", "value": None, "met": False}]
    assert read["met"] is False
    assert read["schema_version"] == 1


def test_only_a_missed_figure_fails() -> None:
    assert RESULT.met
    assert not BenchResult("x", (), (Figure("f", "b", 3.0, met=False),)).met
