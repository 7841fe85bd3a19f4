"""What each option changes, and what each exit code means."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

if TYPE_CHECKING:
    from pathlib import Path

YES = ("--positive", "yes")
JSON = ("--output-format", "json")
LIFTED = [
    x for name in ("dp", "di", "eopp", "eodds", "accgap") for x in ("--limit", f"{name}=none")
]


def report(said: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(said.out)
    return found


def test_small_groups_are_merged_when_asked(ask: Any, table: pd.DataFrame) -> None:
    table["race"] = table["race"].mask(np.arange(800) < 10, "D").mask(np.arange(800) > 780, "E")
    apart = report(ask(table, *YES, *JSON, sensitive="race"))
    merged = report(ask(table, *YES, "--merge-small", "30", *JSON, sensitive="race"))
    assert apart["inputs"]["sensitive"][0]["levels"] == ["A", "B", "C", "D", "E"]
    assert merged["inputs"]["sensitive"][0]["levels"] == ["A", "B", "C", "OTHER"]
    sizes = {g["level"]: g["n"] for g in merged["before"][0]["groups"]}
    assert sizes["OTHER"] == 29
    assert sum(sizes.values()) == 800
    assert any("fewer than 30 rows were merged, as asked" in note for note in merged["notes"])


def test_intersections_count_only_when_asked(ask: Any, table: pd.DataFrame) -> None:
    """One cell of four is treated worse, so that neither attribute alone shows much."""
    rng = np.random.default_rng(0)
    table = table.assign(race=rng.choice(["A", "B"], 800))
    swapped = (table["sex"] == "Male") == (table["race"] == "A")
    table["score"] = np.where(swapped, 0.9, 0.1)
    limits = (*LIFTED, "--limit", "dp=0.2")
    alone = ask(table, *YES, *limits, sensitive="sex,race")
    assert alone.code == 0, alone.out
    both = ask(table, *YES, *limits, "--gate-intersections", *JSON, sensitive="sex,race")
    assert both.code == 1
    assert "sex and race is 1.000" in report(both)["outcome"]["reasons"][0]
    without = report(ask(table, *YES, *limits, "--no-intersect", *JSON, sensitive="sex,race"))
    assert {g["attribute"] for g in without["before"][0]["groups"]} == {"sex", "race"}


def test_the_other_label_as_favorable_turns_rates_around(ask: Any, table: pd.DataFrame) -> None:
    def rates(positive: str) -> dict[str, dict[str, float]]:
        found = report(ask(table.assign(pred=np.where(table["score"] > 0.5, "yes", "no")).drop(
            columns="score"), "--positive", positive, *JSON))  # fmt: skip
        return {g["level"]: {r["id"]: r["value"] for r in g["rates"]}
                for g in found["before"][0]["groups"]}  # fmt: skip

    plain, turned = rates("yes"), rates("no")
    for level, found in plain.items():
        assert turned[level]["tpr"] == pytest.approx(1 - found["fpr"], abs=1e-12)
        assert turned[level]["fpr"] == pytest.approx(1 - found["tpr"], abs=1e-12)
        assert turned[level]["accuracy"] == found["accuracy"]


def test_a_point_after_a_value_is_not_the_same_value(ask: Any, table: pd.DataFrame) -> None:
    dotted = table.assign(label=[f" {one}. " for one in table["label"]])
    said = ask(dotted, *YES)
    assert said.code == 2
    assert "never has the value 'yes' given as --positive; did you mean 'yes.'?" in said.err
    assert report(ask(dotted, "--positive", "yes.", *JSON))["inputs"]["classes"] == ["no.", "yes."]


@pytest.mark.parametrize("seed", range(3))
def test_exact_parity_of_small_groups_is_no_finding(ask: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"label": np.resize([0, 1], 120), "pred": rng.random(120) < 0.3,
                          "race": np.repeat(list("abcd"), 30)})  # fmt: skip
    frame["pred"] = frame["pred"].astype(int)
    said = ask(frame, *JSON, sensitive="race")
    assert said.code == 3
    assert report(said)["outcome"]["status"] == "inconclusive"
    gap = next(d for d in report(said)["before"][0]["disparities"]
               if d["id"] == "demographic_parity_difference")  # fmt: skip
    assert gap["low"] == 0
    assert gap["noise_floor"] > 0.1  # what chance alone shows, as the reader is told


def test_seeds_and_the_order_of_rows(ask: Any, table: pd.DataFrame) -> None:
    first = ask(table, *YES, *JSON)
    assert ask(table, *YES, *JSON).out == first.out  # byte for byte
    other = report(ask(table, *YES, *JSON, "--seed", "1"))
    plain = report(first)
    for one, two in zip(plain["before"][0]["disparities"], other["before"][0]["disparities"],
                        strict=True):  # fmt: skip
        assert one["value"] == two["value"]
    assert plain["before"][0]["disparities"] != other["before"][0]["disparities"]
    mixed = report(ask(table.sample(frac=1, random_state=2), *YES, *JSON))
    for part in ("overall", "pairs", "disparities"):
        for one, two in zip(plain["before"][0][part], mixed["before"][0][part], strict=True):
            if one.get("id") != "calibration_error_difference":  # adds scores up, row by row
                assert one == two
    for one, two in zip(plain["before"][0]["curves"], mixed["before"][0]["curves"], strict=True):
        assert one["roc"] == two["roc"]
        assert one["auc"]["low"] == pytest.approx(two["auc"]["low"], abs=1e-12)


def test_every_exit_code(ask: Any, table: pd.DataFrame, tmp_path: Path) -> None:
    unfair = table.assign(score=np.where(table["sex"] == "Male", 0.9, 0.1))
    kept = (*LIFTED, "--limit", "accgap=1")
    open_ = (*LIFTED, "--limit", "accgap=0.05")
    codes = {
        "kept": ask(table, *YES, *kept).code,
        "not kept": ask(unfair, *YES).code,
        "could not run": ask(table, "--positive", "maybe").code,
        "too little data": ask(table[:80], *YES, *open_).code,
        "which is fine": ask(table[:80], *YES, *open_, "--inconclusive-ok").code,
        "not kept all the same": ask(unfair, *YES, "--inconclusive-ok").code,
        "no such option": ask(table, *YES, "--fairly").code,
        "nowhere to write": ask(table, *YES, "--output", str(tmp_path)).code,
    }
    assert codes == {
        "kept": 0, "not kept": 1, "could not run": 2, "too little data": 3, "which is fine": 0,
        "not kept all the same": 1, "no such option": 2, "nowhere to write": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("score", np.inf, "column 'score' holds NaN or infinity in 1 rows, first in row 3"),
        ("label", np.nan, "label 'label' is missing or not finite in 1 rows"),
        ("label", np.inf, "label 'label' is missing or not finite in 1 rows"),
        ("w", np.inf, "column 'w' holds NaN or infinity in 1 rows, first in row 3"),
    ],
)
def test_infinity_is_no_number(
    ask: Any, table: pd.DataFrame, name: str, value: float, message: str
) -> None:
    frame = table.assign(label=(table["label"] == "yes").astype(float), w=1.0)
    frame.loc[3, name] = value
    said = ask(frame, "--weight", "w")
    assert (said.code, said.out) == (2, "")
    assert message in said.err
