"""Audits from end to end, and that encodings, row order and seeds do not change what is found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import equalized_odds_difference

from dnnrepair.formats.stored import schema

if TYPE_CHECKING:
    from pathlib import Path

    from tests.auditing.conftest import Example

YES = ("--positive", "yes")
JSON = ("--output-format", "json")


def found(said: Any, attribute: str = "sex") -> dict[str, Any]:
    report = json.loads(said.out)
    return {d["id"]: d for d in report["before"][0]["disparities"] if d["attribute"] == attribute}


def no_limits(*names: str) -> list[str]:
    return [text for name in names for text in ("--limit", f"{name}=none")]


def test_a_network_is_audited_from_its_table(dnnrepair: Any, census: Example) -> None:
    said = dnnrepair(*census.arguments("sex,region"), *JSON)
    report = json.loads(said.out)
    jsonschema.validate(report, schema("fairness"))
    assert said.code == report["outcome"]["exit_code"] == 1  # the rows are made to be unfair
    single = {one["attribute"]: one for one in report["individual"]}
    assert single["sex"]["flip_rate"]["value"] > 0
    assert report["inputs"]["sensitive"][0]["is_model_input"] is True
    assert dnnrepair(*census.arguments("sex,region"), *JSON).out == said.out  # byte for byte


@pytest.mark.parametrize("style", ["text", "markdown", "html"])
def test_every_format_says_the_same(dnnrepair: Any, census: Example, style: str) -> None:
    numbers = found(dnnrepair(*census.arguments(), *JSON))
    said = dnnrepair(*census.arguments(), "--output-format", style).out
    assert f"{numbers['equalized_odds_difference']['value']:.3f}" in said
    assert "A limit is not kept" in said


@pytest.mark.parametrize(
    ("yes", "no", "positive"),
    [(1, 0, "1"), (2, 1, "2"), (True, False, "True"), (" >50K ", "<=50K", ">50K"), (0, 1, "0")],
)
def test_how_labels_are_written_changes_nothing(
    ask: Any, table: pd.DataFrame, yes: Any, no: Any, positive: str
) -> None:
    plain = found(ask(table, *YES, *JSON))
    other = table.assign(label=[yes if label == "yes" else no for label in table["label"]])
    assert found(ask(other, "--positive", positive, *JSON)) == plain
    expected = equalized_odds_difference(
        table["label"] == "yes", table["score"] >= 0.5, sensitive_features=table["sex"]
    )
    assert plain["equalized_odds_difference"]["value"] == pytest.approx(expected, abs=1e-12)


def test_spaces_around_levels_change_nothing(ask: Any, table: pd.DataFrame) -> None:
    plain = found(ask(table, *YES, *JSON))
    spaced = table.assign(sex=[f" {s}" if i % 2 else s for i, s in enumerate(table["sex"])])
    assert found(ask(spaced, *YES, *JSON)) == plain


def test_missing_groups_are_a_group_or_dropped(ask: Any, table: pd.DataFrame) -> None:
    table.loc[:99, "sex"] = None
    kept = ask(table, *YES, "--missing-sensitive", "group", *JSON)
    levels = json.loads(kept.out)["inputs"]["sensitive"][0]["levels"]
    assert levels == ["Female", "Male", "(missing)"]
    dropped = ask(table, *YES, "--missing-sensitive", "drop", *JSON)
    assert "100 rows without sex were dropped" in json.loads(dropped.out)["notes"]
    assert found(dropped) == found(ask(table[100:], *YES, *JSON))


def test_numbers_are_grouped_by_bins(ask: Any, table: pd.DataFrame) -> None:
    said = ask(table, *YES, "--bins", "age=25,60", *JSON, sensitive="age")
    groups = {g["level"]: g["n"] for g in json.loads(said.out)["before"][0]["groups"]}
    assert groups == {
        "under 25": int((table["age"] < 25).sum()),
        "25 to under 60": int(table["age"].between(25, 59).sum()),
        "60 and over": int((table["age"] >= 60).sum()),
    }


def test_a_one_hot_block_is_one_attribute(ask: Any, table: pd.DataFrame) -> None:
    plain = found(ask(table, *YES, *JSON))
    block = pd.get_dummies(table["sex"], prefix="sex").astype(int)
    split = pd.concat([table.drop(columns="sex"), block], axis=1)
    assert found(ask(split, *YES, *JSON)) == plain


def test_weights_of_one_give_the_same_values(ask: Any, table: pd.DataFrame) -> None:
    plain = found(ask(table, *YES, *JSON))
    weighted = found(ask(table.assign(w=1.0), *YES, "--weight", "w", *JSON))
    doubled = found(ask(table.assign(w=2.5), *YES, "--weight", "w", *JSON))
    for name, one in plain.items():
        assert weighted[name]["value"] == pytest.approx(one["value"], abs=1e-12)
        assert doubled[name]["value"] == pytest.approx(one["value"], abs=1e-12)
        assert doubled[name]["high"] == pytest.approx(weighted[name]["high"], abs=1e-9)


def test_limits_decide_the_exit_code(ask: Any, table: pd.DataFrame) -> None:
    table["score"] = np.where(table["sex"] == "Male", 0.9, table["score"] * 0.4)
    assert ask(table, *YES).code == 1
    lifted = [
        x for name in ("dp", "di", "eopp", "eodds", "accgap") for x in ("--limit", f"{name}=none")
    ]
    assert ask(table, *YES, *lifted, "--limit", "dp=1").code == 0
    nothing = ask(table, *YES, *lifted)
    assert nothing.code == 3
    assert "no metric with a limit could be measured" in " ".join(nothing.out.split())


def test_a_point_is_judged_without_its_interval(ask: Any, table: pd.DataFrame) -> None:
    value = found(ask(table, *YES, *JSON))["demographic_parity_difference"]["value"]
    lifted = no_limits("di", "eopp", "eodds", "accgap")
    limit = ("--limit", f"dp={value + 1e-6}")
    assert ask(table, *YES, *lifted, *limit).code == 3
    assert ask(table, *YES, *lifted, *limit, "--gate", "point").code == 0
    below = ("--limit", f"dp={value - 1e-6}")
    assert ask(table, *YES, *lifted, *below, "--gate", "point").code == 1


def test_several_classes_and_values_are_measured(ask: Any, table: pd.DataFrame) -> None:
    rng = np.random.default_rng(0)
    classes = table.assign(label=rng.choice(list("abc"), 800), pred=rng.choice(list("abc"), 800))
    said = ask(classes, *JSON)
    overs = {d["over"] for d in json.loads(said.out)["before"][0]["disparities"]}
    assert overs == {"", "max", "mean"}
    male = table["sex"] == "Male"
    label = rng.normal(0, 1, 800)
    values = table.drop(columns="score").assign(label=label, pred=label + 0.5 * male)
    gaps = found(ask(values, *JSON))
    assert gaps["mean_error_difference"]["value"] == pytest.approx(0.5, abs=1e-12)
    assert gaps["mean_error_difference"]["low"] == pytest.approx(0.5, abs=1e-9)
    assert gaps["prediction_distribution_difference"]["value"] > 0.1


def test_names_from_files_do_no_harm(ask: Any, table: pd.DataFrame) -> None:
    evil = "<script>alert(1)</script>\x1b[2J"
    table["sex"] = table["sex"].replace("Male", evil)
    page = ask(table, *YES, "--output-format", "html").out
    assert "<script" not in page
    assert "\x1b" not in page
    assert "\x1b" not in ask(table, *YES).out


def test_a_preprocessing_is_fitted_and_read_back(
    dnnrepair: Any, census: Example, tmp_path: Path
) -> None:
    from dnnrepair.data.preprocessing import fit_preprocessing
    from dnnrepair.data.preprocessing_file import read_preprocessing

    target = tmp_path / "p.toml"
    assert dnnrepair("preprocess", census.data, "--label", "income", "--output", target).code == 0
    again = read_preprocessing(target)
    assert again == fit_preprocessing(census.frame, "test", leave=["income"])
    inputs = again.encode(census.frame, "test")
    numbers = inputs[:, :3]
    np.testing.assert_allclose(numbers.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(numbers.std(axis=0), 1, atol=1e-5)
    assert (inputs[:, 3:7].sum(axis=1) == 1).all()
    said = dnnrepair("preprocess", census.data, "--label", "income", "--output", census.data)
    assert "it is an input" in said.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no [[columns]] alone"),
        ("[[columns]]\nname = 'a'\nkind = 'number'\n", "needs a name and kind"),
        ("[[columns]]\nname = 'a'\nkind = 'numeric'\nstd = 0\n", "std must be above 0"),
        ("[[columns]]\nname = 'a'\nkind = 'numeric'\nmen = 0\n", "did you mean 'mean'?"),
        ("[[columns]]\nname = 'a'\nkind = 'categorical'\n", "needs levels, a list of texts"),
        ("[[columns]\n", "cannot read"),
    ],
)
def test_a_damaged_preprocessing_is_refused(
    dnnrepair: Any, census: Example, tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    said = dnnrepair(*[path if a == str(census.preprocess) else a for a in census.arguments()])
    assert said.code == 2
    assert message in said.err
