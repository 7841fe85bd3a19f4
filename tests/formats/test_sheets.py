"""A patch as a table and as JSON; what a stranger wrote into it does no harm."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnnrepair.formats.sheets import as_json, as_text, outcome
from dnnrepair.formats.words import clean
from dnnrepair.patches.sheet import Changed, Number, Sheet
from dnnrepair.rate import Rate
from dnnrepair.verdict import Interval, Verdict

SHEET = Sheet(
    name="x.patch",
    base="0123456789abcdef",
    result="fedcba9876543210",
    count=52,
    changed=(
        Changed(
            tensor="net.fc.weight",
            count=51,
            norm=12.5,
            numbers=(Number(index=(3, 7), before=0.1, after=-2.5),),
        ),
        Changed(
            tensor="scale",
            count=1,
            norm=float("inf"),
            numbers=(Number(index=(), before=float("nan"), after=1.0),),
        ),
    ),
    method="arachne",
    settings={"alpha": 10},
    seed=7,
)
VERDICT = asdict(
    Verdict(
        part="held-out",
        samples=100,
        targets=Rate(3, 4),
        broken=Rate(1, 90),
        protected=Rate(0, 0),
        others=Rate(2, 6),
        before=Rate(90, 100),
        after=Rate(94, 100),
        gain=Interval(value=0.04, low=0.01, high=0.07),
        cost_before=10.0,
        cost_after=6.0,
    )
)


def test_a_table_of_layer_weight_before_and_after() -> None:
    lines = as_text(SHEET).splitlines()
    rows = [line.split() for line in lines]
    assert ["layer", "weight", "before", "after", "change"] in rows
    assert ["net.fc", "weight[3,", "7]", "0.1", "-2.5", "-2.6"] in rows
    assert ["scale", "nan", "1", "+nan"] in rows or ["scale", "nan", "1", "nan"] in rows
    assert any("50 more of 51 in net.fc.weight; norm of its change 12.5" in line for line in lines)
    assert any(line.startswith("Changes") and "52 numbers in 2 tensors" in line for line in lines)
    assert any(line.startswith("Method") and "arachne, alpha 10, seed 7" in line for line in lines)
    assert "none in this file" in as_text(SHEET)


def test_the_verdict_in_words() -> None:
    assert outcome(VERDICT) == (
        "held-out: 3/4 (75.0 %) targets fixed, 1/90 (1.1 %) broken, "
        "2/6 (33.3 %) others fixed, accuracy 90 % → 94 %"
    )
    assert "3/4 (75.0 %) targets fixed" in as_text(replace(SHEET, verdict=VERDICT), width=200)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.dictionaries(
            st.sampled_from(["part", "targets", "broken", "hits", "tries", "before", "after"]),
            inner,
        ),
    )
)
def test_verdicts_of_any_form_are_shown_or_left_out(verdict: Any) -> None:
    found = outcome(verdict) if isinstance(verdict, dict) else ""
    assert clean(found) == found


def test_json_is_strict_and_complete() -> None:
    found = json.loads(as_json(replace(SHEET, verdict=VERDICT)), parse_constant=pytest.fail)
    assert found["schema_version"] == 1
    assert found["changed"][0]["numbers"] == [{"index": [3, 7], "before": 0.1, "after": -2.5}]
    assert found["changed"][1]["norm"] is None
    assert found["verdict"]["targets"] == {"hits": 3, "tries": 4}


@given(text=st.text(min_size=1, max_size=30), width=st.integers(20, 120))
def test_hostile_names_stay_text(text: str, width: int) -> None:
    spoiled = replace(
        SHEET,
        name=text,
        method=text,
        settings={text: text},
        changed=(replace(SHEET.changed[0], tensor=f"{text}.{text}[red]x[/]"),),
    )
    drawn = as_text(spoiled, width=width)
    assert all(clean(line) == line for line in drawn.split("\n"))
    assert json.loads(as_json(spoiled))
    assert "[red]" in as_text(spoiled, width=400)


def test_a_terminal_without_unicode() -> None:
    assert as_text(replace(SHEET, verdict=VERDICT), width=200, ascii_only=True).isascii()
