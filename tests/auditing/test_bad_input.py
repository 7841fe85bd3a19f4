"""Every bad input is refused with what, where and what next; none becomes a number."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.auditing.conftest import Example

YES = ("--positive", "yes")


def three(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(label=np.resize(["a", "b", "c"], len(frame)), pred="a")


def put(**values: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Replace the value in row 3 of columns."""

    def changed(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.astype(dict.fromkeys(values, object))
        for name, value in values.items():
            frame.loc[3, name] = value
        return frame

    return changed


CASES: list[tuple[str, Any, tuple[str, ...], str, str]] = [
    ("label", lambda f: f.drop(columns="label"), YES, "sex", "has no column 'label'"),
    ("sensitive", None, YES, "sx", "no sensitive column 'sx'; did you mean 'sex'?"),
    ("positive", None, ("--positive", "yes."), "sex",
     "label 'label' never has the value 'yes.' given as --positive; did you mean 'yes'?"),
    ("unnamed", None, (), "sex", "has the values 'no' and 'yes'; name the favorable one"),
    ("three", three, ("--positive", "a"), "sex", "has 3 values ('a', 'b', 'c'), and --positive is"),
    ("one score", lambda f: three(f).drop(columns="pred"), (), "sex",
     "one score cannot tell 3 classes apart"),
    ("no label", put(label=None), YES, "sex", "label 'label' is missing or not finite in 1 rows"),
    ("NaN", put(score=None), YES, "sex", "column 'score' holds NaN or infinity in 1 rows, first"),
    ("logit", put(score=3.5), YES, "sex", "1 scores in column 'score' lie outside [0, 1], such as"),
    ("gap", put(sex=None), YES, "sex", "sensitive column 'sex' has 1 missing values"),
    ("?", put(sex=" ? "), YES, "sex", "--missing-sensitive group or --missing-sensitive drop"),
    ("alone", lambda f: f.assign(sex="Male"), YES, "sex", "only 'Male': there is nothing to"),
    ("continuous", None, YES, "age", "has 72 levels, which looks continuous; group them with"),
    ("text bins", None, (*YES, "--bins", "sex=1,2"), "sex", "holds text, not numbers"),
    ("falling bins", None, (*YES, "--bins", "age=60,25"), "age", "rising numbers such as age"),
    ("reference", None, (*YES, "--reference", "sex=male"), "sex", "did you mean 'Male'?"),
    ("other reference", None, (*YES, "--reference", "race=A"), "sex", "not named with --sensitive"),
    ("decision", lambda f: f.assign(pred="maybe"), YES, "sex",
     "column 'pred' holds 'maybe' in 800 rows, which is not among the classes no, yes"),
    ("no answer", lambda f: f.drop(columns="score"), YES, "sex", "neither a column 'score'"),
    ("weight", lambda f: f.assign(w=-1), (*YES, "--weight", "w"), "sex", "800 weights in column"),
    ("zeros", lambda f: f.assign(w=0), (*YES, "--weight", "w"), "sex", "all weights in column 'w'"),
    ("one-hot", lambda f: f.assign(g_a=1, g_b=1), YES, "g", "look like a one-hot block of 'g'"),
    ("limit", None, (*YES, "--limit", "dp=much"), "sex", "--limit dp=much: give a number"),
    ("metric", None, (*YES, "--limit", "equalised_odds_difference=1"), "sex", "did you mean"),
    ("ratio", None, (*YES, "--limit", "di=1.25"), "sex", "a ratio is at most 1"),
    ("twice", None, YES, "sex,sex", "names a column twice"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "more", "sensitive", "message"), [c[1:] for c in CASES],
                         ids=[c[0] for c in CASES])  # fmt: skip
def test_a_bad_table_is_refused(
    ask: Any, table: pd.DataFrame, change: Any, more: Any, sensitive: str, message: str
) -> None:
    said = ask(change(table) if change else table, *more, sensitive=sensitive)
    assert said.code == 2
    assert not said.out
    assert message in said.err
    assert len(said.err.splitlines()) == 1


def test_shuffled_predictions_need_an_identity_and_are_joined_by_it(
    ask: Any, dnnrepair: Any, table: pd.DataFrame, tmp_path: Path
) -> None:
    whole = ask(table, *YES, "--output-format", "json")
    rows, answers = tmp_path / "rows.csv", tmp_path / "answers.csv"
    table.drop(columns="score").to_csv(rows, index=False)
    table[["id", "score"]].sample(frac=1, random_state=1).to_csv(answers, index=False)
    asked = ("audit", "--data", rows, "--predictions", answers, *YES, "--sensitive", "sex",
             "--draws", "200", "--output-format", "json")  # fmt: skip
    assert "name a column that both have with --id" in dnnrepair(*asked).err
    found = dnnrepair(*asked, "--id", "id")
    assert json.loads(found.out)["before"] == json.loads(whole.out)["before"]
    table[["id", "score"]][:-2].to_csv(answers, index=False)
    assert "2 have no prediction, 0 predictions have no row" in dnnrepair(*asked, "--id", "id").err
    pd.concat([table, table[:1]])[["id", "score"]].to_csv(answers, index=False)
    assert "1 values of --id id stand there twice" in dnnrepair(*asked, "--id", "id").err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("audit", "--sensitive", "sex"), "nothing to audit: name a MODEL"),
        (("audit", "m.pt", "--predictions", "p.csv", "--sensitive", "s"), "leave one out"),
        (("audit", "m.pt", "--sensitive", "sex"), "needs rows to answer: name a table"),
        (("audit", "--predictions", "p.csv"), "name the columns of the groups with --sensitive"),
        (("audit", "--predictions", "none.csv", "--sensitive", "s"), "there is no such file"),
    ],
)
def test_an_incomplete_question_is_refused(dnnrepair: Any, arguments: Any, message: str) -> None:
    said = dnnrepair(*arguments)
    assert said.code == 2
    assert message in said.err


class Noisy(nn.Module):
    """Drops units at inference, as a network does that was saved while it trained."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = nn.functional.dropout(self.head(x), 0.5, training=True)
        return y


class Constant(nn.Module):
    """Answers so many numbers, NaN where the first input is 1."""

    def __init__(self, width: int, *, undefined: bool = False) -> None:
        super().__init__()
        self.head = nn.Linear(2, width)
        self.undefined = undefined

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.head(x)
        return torch.where(x[:, :1] == 1, torch.nan, y) if self.undefined else y


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Noisy(), "answers the same rows differently each time"),
        (Constant(2, undefined=True), "the network answers NaN or infinity to"),
        (Constant(3), "the network answers 3 classes, but label 'label' has 2 values"),
    ],
)
def test_a_network_that_cannot_be_measured_is_refused(
    dnnrepair: Any, table: pd.DataFrame, tmp_path: Path, network: nn.Module, message: str
) -> None:
    rows = table.assign(a=np.arange(len(table)) % 5, b=1.0)
    rows.to_csv(tmp_path / "rows.csv", index=False)
    sizes = ({0: torch.export.Dim("rows")},)
    exported = torch.export.export(network, (torch.zeros(4, 2),), dynamic_shapes=sizes)
    torch.export.save(exported, tmp_path / "m.pt2")
    said = dnnrepair(
        *("audit", tmp_path / "m.pt2", "--data", tmp_path / "rows.csv", "--features", "a,b"),
        *(*YES, "--sensitive", "sex"),
    )
    assert said.code == 2
    assert message in said.err


def test_text_columns_and_strange_levels_are_refused(
    dnnrepair: Any, census: Example, tmp_path: Path
) -> None:
    asked = list(census.arguments())
    without = [*asked[: asked.index("--preprocess")], *asked[asked.index("--preprocess") + 2 :]]
    assert "are text; say how they become numbers with --preprocess" in dnnrepair(*without).err
    strange = tmp_path / "strange.csv"
    census.frame.assign(work="mine").to_csv(strange, index=False)
    said = dnnrepair(*[strange if a == str(census.data) else a for a in asked])
    assert "column 'work' holds 'mine', in all 1500 rows with levels that" in said.err
    holes = tmp_path / "holes.csv"
    census.frame.assign(age=np.where(np.arange(1500) == 2, np.nan, 1)).to_csv(holes, index=False)
    said = dnnrepair(*[holes if a == str(census.data) else a for a in asked])
    assert "column 'age' has 1 missing or infinite values" in said.err


def test_a_tiny_group_is_listed_and_gives_no_number(ask: Any, table: pd.DataFrame) -> None:
    table.loc[:2, "sex"] = "Other"
    table.loc[3:50, "sex"] = "Quiet"  # rows enough, but no positives
    table.loc[3:50, "label"] = "no"
    said = ask(table, *YES, "--output-format", "json")
    report = json.loads(said.out)
    assert said.code == 3
    codes = {(c["code"], c["level"]) for c in report["cautions"]}
    assert {("TINY_GROUP", "Other"), ("TINY_GROUP", "Quiet")} <= codes
    groups = {g["level"]: {r["id"]: r["value"] for r in g["rates"]} | g
              for g in report["before"][0]["groups"]}  # fmt: skip
    assert groups["Quiet"]["tpr"] is None
    assert not groups["Other"]["eligible"]
    found = {d["id"]: d for d in report["before"][0]["disparities"]}
    assert found["equalized_odds_difference"]["excluded"] == ["Other", "Quiet"]
    assert found["equalized_odds_difference"]["verdict"] == "inconclusive"
    assert found["equalized_odds_difference"]["value"] < 0.5  # of the two others
    assert ask(table, *YES, "--inconclusive-ok").code == 0


def test_empty_intersections_are_listed(ask: Any, table: pd.DataFrame) -> None:
    table.loc[table["sex"] == "Male", "race"] = "A"
    said = ask(table, *YES, sensitive="sex,race")
    assert "sex and race = Male, B: no rows" in said.out


def test_a_label_that_is_the_group_is_measured_by_accuracy_only(
    ask: Any, table: pd.DataFrame
) -> None:
    said = ask(table.assign(sex=table["label"]), *YES, "--output-format", "json")
    report = json.loads(said.out)
    assert "SENSITIVE_IS_LABEL" in {c["code"] for c in report["cautions"]}
    found = {d["id"] for d in report["before"][0]["disparities"]}
    assert found == {"accuracy_difference", "worst_group_accuracy"}


def test_a_leaked_label_is_suspected(dnnrepair: Any, table: pd.DataFrame, tmp_path: Path) -> None:
    rows = table.assign(a=(table["label"] == "yes").astype(float), b=1.0)
    rows.to_csv(tmp_path / "rows.csv", index=False)
    sizes = ({0: torch.export.Dim("rows")},)
    network = torch.export.export(Constant(2), (torch.zeros(4, 2),), dynamic_shapes=sizes)
    torch.export.save(network, tmp_path / "m.pt2")
    said = dnnrepair(
        *("audit", tmp_path / "m.pt2", "--data", tmp_path / "rows.csv", "--features", "a,b"),
        *(*YES, "--sensitive", "sex", "--draws", "200"),
    )
    assert "SUSPECT_LEAKAGE: column a alone predicts the label" in " ".join(said.out.split())
