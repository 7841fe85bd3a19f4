"""``dnnrepair debias`` end to end: what it writes, what it refuses, what it says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.auditing.conftest import Example


@pytest.fixture
def changed(people: Example, tmp_path: Path) -> Any:
    """Return a function that writes a changed table, and returns its path."""

    def written(change: Any, name: str = "changed.csv") -> Path:
        path = tmp_path / name
        frame: pd.DataFrame = change(people.frame)
        frame.to_csv(path, index=False)
        return path

    return written


def test_a_repair_narrows_the_gap_and_its_patch_applies_and_reverts(
    debias: Any, dnnrepair: Any, people: Example, tmp_path: Path
) -> None:
    report = tmp_path / "r.json"
    before = people.model.read_bytes()
    said = debias("--output", report)
    assert not said.out
    assert said.code in (0, 3), json.loads(report.read_text())["outcome"]
    found = json.loads(report.read_text())
    aimed = next(one for one in found["delta"] if one["optimized"])
    assert aimed["id"] == "equalized_odds_difference"
    assert aimed["after"] < aimed["before"]
    assert found["patch"]["file"] == str(tmp_path / "p.patch")
    assert people.model.read_bytes() == before
    new, back = tmp_path / "new.pt2", tmp_path / "back.pt2"
    assert dnnrepair("apply", people.model, tmp_path / "p.patch", "--output", new).code == 0
    assert dnnrepair("revert", new, tmp_path / "p.patch", "--output", back).code == 0
    shown = dnnrepair("show", tmp_path / "p.patch")
    assert "debias descent" in shown.out
    again = dnnrepair(
        "debias", back, "--data", people.data, "--label", "income", "--positive", ">50K",
        "--sensitive", "sex", "--preprocess", people.preprocess, "--draws", "200",
        "--patch", tmp_path / "again.patch", "--no-baselines", "--output", tmp_path / "a.json",
    )  # fmt: skip
    assert again.code == said.code
    assert (tmp_path / "again.patch").read_bytes() == (tmp_path / "p.patch").read_bytes()
    assert (
        sum(one["n"] for one in found["flips"])
        == found["before"][0]["groups"][0]["n"] + (found["before"][0]["groups"][1]["n"])
    )


def test_the_report_is_drawn_in_every_format(debias: Any, tmp_path: Path) -> None:
    said = debias("--search", "both", "--layers", "localized", "--count", "60")
    assert said.code in (0, 3), said.err
    for title in ("Before and after", "What got worse", "Groups by sex, before and after", "Patch",
                  "Who changed", "Accuracy against fairness", "Beside random"):  # fmt: skip
        assert title in said.out
    assert max(map(len, said.out.splitlines())) <= 80
    page = tmp_path / "r.html"
    assert debias("--output", page).code in (0, 3), page.read_text()
    assert "Who changed" in page.read_text()


def test_permuted_test_labels_do_not_change_the_patch(
    debias: Any, people: Example, changed: Any, tmp_path: Path
) -> None:
    half = len(people.frame) // 2
    data = changed(lambda f: f[:half], "data.csv")
    test = changed(lambda f: f[half:], "test.csv")
    rng = np.random.default_rng(0)
    wrong = changed(
        lambda f: f[half:].assign(income=rng.permutation(f[half:]["income"].to_numpy())), "w.csv"
    )
    patches = []
    for place, judge in enumerate((test, wrong)):
        report = tmp_path / f"{place}.json"
        debias("--test-data", judge, "--allow-overlap", "--output", report, data=data)
        chosen = [p for p in json.loads(report.read_text())["pareto"] if p["chosen"]]
        patches.append([(p["select_accuracy"], p["select_gap"]) for p in chosen])
    assert patches[0] == patches[1] != []


def test_judging_on_rows_that_repaired_is_refused(debias: Any, people: Example) -> None:
    said = debias("--test-data", people.data)
    assert said.code == 2
    assert f"SPLIT_OVERLAP: {len(people.frame)} of {len(people.frame)} rows" in said.err
    assert "--allow-overlap" in said.err


def test_overlap_that_is_allowed_is_marked(debias: Any, people: Example) -> None:
    said = debias("--test-data", people.data, "--allow-overlap", "--output-format", "json")
    codes = {one["code"] for one in json.loads(said.out)["cautions"]}
    assert "SPLIT_OVERLAP" in codes


def test_a_level_seen_only_in_the_test_is_refused(
    debias: Any, people: Example, changed: Any
) -> None:
    half = len(people.frame) // 2
    data = changed(lambda f: f[:half].assign(kind=np.resize(["a", "b"], half)), "data.csv")
    test = changed(lambda f: f[half:].assign(kind=np.resize(["a", "b", "c"], len(f) - half)))
    said = debias("--test-data", test, data=data, sensitive="kind")
    assert said.code == 2
    assert "rows with 'c', a level that the data for the repair do not have" in said.err


def test_groups_that_are_the_label_are_refused(debias: Any, changed: Any) -> None:
    same = changed(lambda f: f.assign(sex=f["income"].map({">50K": "Male", "<=50K": "Female"})))
    said = debias(data=same)
    assert said.code == 2
    assert "SENSITIVE_IS_LABEL: 'sex' is the label 'income' itself" in said.err
    assert "use --objective accgap" in said.err


def test_where_groups_are_the_label_their_accuracies_can_be_brought_together(
    debias: Any, changed: Any
) -> None:
    same = changed(lambda f: f.assign(sex=f["income"].map({">50K": "Male", "<=50K": "Female"})))
    said = debias("--objective", "accgap", "--max-acc-drop", "0.1", "--min-f1-ratio", "0.8",
                  "--output-format", "json", data=same)  # fmt: skip
    found = json.loads(said.out)
    assert said.code == 0, found["outcome"]
    aimed = next(one for one in found["delta"] if one["optimized"])
    assert aimed["id"] == "accuracy_difference"
    assert aimed["after"] < 0.5 * aimed["before"]


def test_a_tiny_group_gives_no_number_but_exit_3(debias: Any, changed: Any, tmp_path: Path) -> None:
    few = changed(lambda f: f[(f["sex"] == "Male") | (f.groupby("sex").cumcount() < 12)])
    said = debias("--output-format", "json", data=few)
    assert said.code == 3
    found = json.loads(said.out)
    assert found["outcome"]["status"] == "inconclusive"
    assert "TINY_GROUP" in {one["code"] for one in found["cautions"]}
    assert not (tmp_path / "p.patch").exists()


def test_equal_treatment_is_no_gain(debias: Any, changed: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    parity = changed(lambda f: f[:900].assign(kind=rng.choice(["a", "b"], 900)))
    said = debias("--output-format", "json", data=parity, sensitive="kind")
    found = json.loads(said.out)
    assert said.code in (3, 4)
    assert found["outcome"]["status"] in ("inconclusive", "nothing accepted")
    assert (tmp_path / "p.patch").exists() == (said.code == 3)


def test_limits_that_nothing_keeps_leave_the_network_alone(debias: Any, tmp_path: Path) -> None:
    said = debias("--min-f1-ratio", "1", "--max-acc-drop", "0", "--no-level-down", "0",
                  "--selection-band", "0", "--output-format", "json")  # fmt: skip
    assert said.code == 4
    found = json.loads(said.out)
    assert found["outcome"]["status"] == "nothing accepted"
    assert found["patch"] is None
    assert not (tmp_path / "p.patch").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--objective", "flip", "--search", "both"), "use --search descent"),
        (("--layers", "nowhere"), "no layer is called 'nowhere'; known: "),
        (("--max-acc-drop", "2"), "--max-acc-drop"),
        (("--task", "regress"), "debias repairs decisions"),
        (("--weight", "age"), "--weight: debias counts every row alike"),
        (("--threshold", "0.4"), "--threshold: debias repairs decisions at 0.5"),
        (("--predictions", "p.csv"), "--predictions: debias asks the network itself"),
    ],
)
def test_impossible_wishes_are_refused(debias: Any, more: tuple[str, ...], message: str) -> None:
    said = debias(*more)
    assert said.code == 2
    assert message in said.err
    assert len(said.err.splitlines()) == 1


def test_flipping_needs_the_attribute_among_the_inputs(
    debias: Any, people: Example, changed: Any
) -> None:
    rng = np.random.default_rng(0)
    data = changed(lambda f: f.assign(kind=rng.choice(["a", "b"], len(f))))
    said = debias("--objective", "flip", data=data, sensitive="kind")
    assert said.code == 2
    assert "--objective flip needs 'kind' among the network's inputs" in said.err
    assert people.model.exists()


def test_flips_become_fewer(debias: Any) -> None:
    said = debias("--objective", "flip", "--output-format", "json", "--min-f1-ratio", "0.9",
                  "--max-acc-drop", "0.05")  # fmt: skip
    found = json.loads(said.out)
    chosen = next(p for p in found["pareto"] if p["chosen"])
    assert said.code == 0, found["outcome"]
    assert chosen["test_gap"] < 0.12


def test_permuted_test_labels_leave_the_bytes_of_the_patch(
    debias: Any, people: Example, changed: Any, tmp_path: Path
) -> None:
    """Labels are permuted within each sex: the gap stays one of selection, and is narrowed."""
    half = len(people.frame) // 2
    data, test = changed(lambda f: f[:half], "data.csv"), changed(lambda f: f[half:], "test.csv")
    rng = np.random.default_rng(1)
    mixed = changed(
        lambda f: f[half:].assign(
            income=f[half:].groupby("sex")["income"].transform(rng.permutation)
        ),
        "mixed.csv",
    )
    reports, patches = [], []
    for place, judge in enumerate((test, mixed)):
        report, patch = tmp_path / f"{place}.json", tmp_path / f"{place}.patch"
        said = debias("--test-data", judge, "--allow-overlap", "--output", report, data=data,
                      patch=patch)  # fmt: skip
        assert said.code in (0, 3), said.err
        reports.append(json.loads(report.read_text()))
        patches.append(patch.read_bytes())
    assert patches[0] == patches[1]
    accuracies = [one["before"][0]["overall"][0]["value"] for one in reports]
    assert accuracies[0] > accuracies[1] + 0.05  # other labels they were


def test_the_same_seed_gives_the_same_report_but_for_the_clock(debias: Any) -> None:
    found = []
    for _ in range(2):
        whole = json.loads(debias("--output-format", "json").out)
        assert whole["search"].pop("seconds") > 0
        found.append(json.dumps(whole))
    assert found[0] == found[1]


def test_single_rows_and_curves_are_measured_before_and_after(debias: Any) -> None:
    found = json.loads(debias("--output-format", "json").out)
    (before,), (after,) = found["individual"], found["individual_after"]
    assert after["flip_rate"]["value"] < before["flip_rate"]["value"]
    assert found["inputs"]["sensitive"][0]["is_model_input"] is True
    assert found["patch"]["sensitive_weights"] is True
    assert "READS_GROUP" in {one["code"] for one in found["cautions"]}
    assert [len(one["curves"]) for one in (found["before"][0], found["after"][0])] == [2, 2]


def test_a_patch_of_the_last_layer_reads_no_group(debias: Any) -> None:
    found = json.loads(debias("--output-format", "json", "--layers", "last").out)
    assert found["patch"]["layers"] == ["head"]
    assert found["patch"]["sensitive_weights"] is False
    assert "READS_GROUP" not in {one["code"] for one in found["cautions"]}


def test_what_may_be_chance_is_fine_where_the_user_says_so(debias: Any, changed: Any) -> None:
    rng = np.random.default_rng(3)
    parity = changed(lambda f: f[:900].assign(kind=rng.choice(["a", "b"], 900)))
    plain = debias(data=parity, sensitive="kind")
    lenient = debias("--inconclusive-ok", data=parity, sensitive="kind")
    assert (plain.code, lenient.code) in ((3, 0), (4, 4))


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A network of three classes that gives one of them less often to women."""
    import torch

    folder = tmp_path_factory.mktemp("three")
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (4000, 3)).astype(np.float32)
    woman = rng.integers(0, 2, 4000)
    x[:, 2] = woman
    layer = torch.nn.Linear(3, 3)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 0.2, -1.2], [-1.0, 0.5, 0.3], [0.1, -1.0, 0.4]]))
        layer.bias.zero_()
        clean = torch.tensor(x * np.array([1, 1, 0], np.float32)) @ layer.weight.T
    label = (clean.numpy() + rng.gumbel(0, 0.5, (4000, 3))).argmax(1)
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "woman": woman,
                          "label": np.array(["gold", "iron", "lead"])[label]})  # fmt: skip
    frame.to_csv(folder / "rows.csv", index=False)
    rows = ({0: torch.export.Dim("rows")},)
    program = torch.export.export(layer.eval(), (torch.zeros(4, 3),), dynamic_shapes=rows)
    torch.export.save(program, folder / "m.pt2")
    return {"model": folder / "m.pt2", "data": folder / "rows.csv"}


@pytest.mark.usefixtures("short")
def test_one_of_several_classes_is_given_more_alike(
    dnnrepair: Any, three: dict[str, Path], tmp_path: Path
) -> None:
    asked = ("debias", three["model"], "--data", three["data"], "--features", "a,b,woman",
             "--sensitive", "woman", "--draws", "100", "--no-baselines", "--max-acc-drop", "0.05",
             "--patch", tmp_path / "p.patch", "--output-format")  # fmt: skip
    said = dnnrepair(*asked, "json", "--positive", "gold")
    report = json.loads(said.out)
    assert said.code in (0, 3), report["outcome"]
    aimed = next(one for one in report["delta"] if one["optimized"])
    assert aimed["after"] < 0.7 * aimed["before"]
    assert report["inputs"]["classes"] == ["gold", "iron", "lead"]
    assert report["inputs"]["positive"] == "gold"
    page = dnnrepair(*asked, "html", "--positive", "gold")
    assert "favorable: gold" in page.out
    for more, message in (
        ((), "has 3 values; name the favorable one with --positive"),
        (("--positive", "golden"), "never has the value 'golden' given as --positive; did you"),
    ):
        said = dnnrepair(*asked, "json", *more)
        assert (said.code, said.out) == (2, "")
        assert message in said.err


def test_more_values_than_outputs_are_refused(debias: Any, changed: Any) -> None:
    three = changed(lambda f: f.assign(income=np.resize(["a", "b", "c"], len(f))))
    said = debias(data=three)
    assert said.code == 2
    assert "the network answers 2 classes, but label 'income' has 3 values" in said.err
