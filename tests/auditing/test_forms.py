"""Every form in which a network and its rows can come."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from dnnrepair.models import build

if TYPE_CHECKING:
    from pathlib import Path

    from tests.auditing.conftest import Example

JSON = ("--output-format", "json", "--draws", "100")


def exported(network: nn.Module, width: int, path: Path) -> Path:
    rows = ({0: torch.export.Dim("rows")},)
    program = torch.export.export(network.eval(), (torch.zeros(4, width),), dynamic_shapes=rows)
    torch.export.save(program, path)
    return path


def linear(width: int, outputs: int, seed: int = 0) -> nn.Linear:
    layer = nn.Linear(width, outputs)
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(outputs, width, generator=rng))
        layer.bias.zero_()
    return layer


def rates(said: Any) -> dict[str, dict[str, float]]:
    groups = json.loads(said.out)["before"][0]["groups"]
    return {g["level"]: {r["id"]: r["value"] for r in g["rates"]} for g in groups}


def test_arrays_with_groups_beside_them(dnnrepair: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, (600, 3)).astype(np.float32), rng.integers(0, 2, 600)
    sex = rng.choice(["Female", "Male"], 600)
    np.savez(tmp_path / "d.npz", X=x, y=y, s_sex=sex)
    layer = linear(3, 2)
    model = exported(layer, 3, tmp_path / "m.pt2")
    said = dnnrepair("audit", model, "--data", tmp_path / "d.npz", "--sensitive", "sex", *JSON)
    with torch.no_grad():
        decided = layer(torch.from_numpy(x)).argmax(1).numpy()
    for level, found in rates(said).items():
        mine = sex == level
        assert found["selection_rate"] == pytest.approx(decided[mine].mean(), abs=1e-12)
        assert found["accuracy"] == pytest.approx((decided == y)[mine].mean(), abs=1e-12)
    (single,) = json.loads(said.out)["individual"]
    assert single["reason"] == "the inputs are encoded already, and not by name"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"s_sex": np.array(["a"] * 5)}, "X has 600 rows, but 'sex' has shape (5,)"),
        ({"y": np.zeros(7)}, "X has 600 rows, but 'label' has shape (7,)"),
        ({"X": None}, "lacks X or y: it holds y, s_sex"),
        ({"X": np.full((600, 3), np.inf, np.float32)}, "the inputs of 600 rows hold NaN or inf"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    dnnrepair: Any, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    arrays = {"X": np.zeros((600, 3), np.float32), "y": np.resize([0, 1], 600),
              "s_sex": np.resize(["a", "b"], 600)} | change  # fmt: skip
    np.savez(tmp_path / "d.npz", **{n: a for n, a in arrays.items() if a is not None})
    model = exported(linear(3, 2), 3, tmp_path / "m.pt2")
    said = dnnrepair("audit", model, "--data", tmp_path / "d.npz", "--sensitive", "sex")
    assert (said.code, said.out) == (2, "")
    assert message in said.err


def test_inputs_come_from_code_of_the_user(
    dnnrepair: Any, census: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "from pathlib import Path\n"
        "from dnnrepair.data.preprocessing_file import read_preprocessing\n"
        f"how = read_preprocessing(Path({str(census.preprocess)!r}))\n"
        "def encode(frame): return how.encode(frame, 'mine')\n"
        "def short(frame): return encode(frame)[:-1]\n"
        "def words(frame): return frame['sex'].to_numpy()\n"
        "def broken(frame): return frame['nothing']\n"
    )
    plain = json.loads(dnnrepair(*census.arguments(), *JSON).out)

    def with_code(name: str) -> Any:
        asked = [f"mine.py:{name}" if a == str(census.preprocess) else a
                 for a in census.arguments()]  # fmt: skip
        return dnnrepair(*asked, *JSON)

    found = json.loads(with_code("encode").out)
    assert found["before"] == plain["before"]
    assert found["individual"] == plain["individual"]
    for name, message in (
        ("short", "returned shape (1499, 12) for the 1500 rows"),
        ("words", "returned what is no array of numbers"),
        ("broken", "raised KeyError"),
        ("encod", "did you mean 'encode'?"),
    ):
        said = with_code(name)
        assert (said.code, said.out) == (2, "")
        assert message in said.err, said.err


def test_a_network_of_several_classes_in_an_order_of_its_own(
    dnnrepair: Any, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, (900, 2)).astype(np.float32)
    layer = linear(2, 3)
    model = exported(layer, 2, tmp_path / "m.pt2")
    order = np.array(["red", "amber", "green"])  # not that of the alphabet
    with torch.no_grad():
        decided = order[layer(torch.from_numpy(x)).argmax(1).numpy()]
    label = np.where(rng.random(900) < 0.8, decided, rng.choice(order, 900))
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "label": label,
                          "sex": rng.choice(["f", "m"], 900)})  # fmt: skip
    frame.to_csv(tmp_path / "rows.csv", index=False)
    asked = ("audit", model, "--data", tmp_path / "rows.csv", "--features", "a,b",
             "--sensitive", "sex", *JSON)  # fmt: skip
    said = dnnrepair(*asked, "--classes", "red,amber,green")
    for level, found in rates(said).items():
        mine = (frame["sex"] == level).to_numpy()
        assert found["accuracy"] == pytest.approx((decided == label)[mine].mean(), abs=1e-12)
    alphabetical = rates(dnnrepair(*asked))
    assert alphabetical["f"]["accuracy"] < 0.5  # the outputs mean something else then
    assert "2 values" in dnnrepair(*asked, "--classes", "red,amber").err or (
        "not among the classes red, amber" in dnnrepair(*asked, "--classes", "red,amber").err
    )


def test_a_network_that_predicts_values(dnnrepair: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(0, 1, (500, 2)).astype(np.float32)
    sex = rng.choice(["f", "m"], 500)
    layer = linear(2, 1)
    with torch.no_grad():
        predicted = layer(torch.from_numpy(x))[:, 0].double().numpy()
    label = predicted + 0.25 * (sex == "m")
    pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "label": label, "sex": sex}).to_csv(
        tmp_path / "rows.csv", index=False
    )
    model = exported(layer, 2, tmp_path / "m.pt2")
    said = dnnrepair("audit", model, "--data", tmp_path / "rows.csv", "--features", "a,b",
                     "--sensitive", "sex", *JSON)  # fmt: skip
    report = json.loads(said.out)
    assert report["inputs"]["task"] == "regression"
    gaps = {d["id"]: d["value"] for d in report["before"][0]["disparities"]}
    assert gaps["mean_error_difference"] == pytest.approx(0.25, abs=1e-6)
    found = rates(said)
    assert found["m"]["mean_error"] == pytest.approx(-0.25, abs=1e-6)
    assert report["before"][0]["curves"] == []


def test_a_reference_network_by_its_name(dnnrepair: Any, tmp_path: Path) -> None:
    known = build("mlp-relu")
    assert known.targets is not None
    x, y = known.inputs[0].numpy(), known.targets.numpy()
    with torch.no_grad():
        right = known.module(known.inputs[0]).argmax(1).numpy() == y
    half = np.resize(["left", "right"], len(y))
    np.savez(tmp_path / "d.npz", X=x, y=y, s_hand=half)
    said = dnnrepair(
        "audit", "models:mlp-relu", "--data", tmp_path / "d.npz", "--sensitive", "hand", *JSON
    )
    for level, found in rates(said).items():
        assert found["accuracy"] == pytest.approx(right[half == level].mean(), abs=1e-12)


def test_an_attribute_that_is_no_input_flips_nothing_and_says_so(
    dnnrepair: Any, census: Example, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    hand = np.resize(["left", "right"], len(census.frame))
    census.frame.assign(hand=hand).to_csv(path, index=False)
    asked = [path if a == str(census.data) else a for a in census.arguments("hand")]
    report = json.loads(dnnrepair(*asked, *JSON).out)
    assert report["individual"][0]["reason"] == "it is no input of the network"
    assert report["individual"][0]["flip_rate"] is None
    assert report["inputs"]["sensitive"][0]["is_model_input"] is False


def test_a_network_in_training_mode_is_put_into_evaluation(
    dnnrepair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "def make(): return nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Dropout(0.5),"
        " nn.Linear(8, 2)).train()\n"
    )
    network = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))
    torch.save(network.state_dict(), tmp_path / "m.pt")
    x = np.random.default_rng(0).normal(0, 1, (400, 2)).astype(np.float32)
    with torch.no_grad():
        decided = network.eval()(torch.from_numpy(x)).argmax(1).numpy()
    np.savez(
        tmp_path / "d.npz", X=x, y=np.resize([0, 1], 400), s_sex=np.resize(["a", "a", "b"], 400)
    )
    said = dnnrepair("audit", "m.pt", "--arch", "net.py:make", "--data", "d.npz",
                     "--sensitive", "sex", *JSON)  # fmt: skip
    mine = np.resize(["a", "a", "b"], 400) == "a"
    assert rates(said)["a"]["selection_rate"] == pytest.approx(decided[mine].mean(), abs=1e-12)


def test_auditing_predictions_loads_no_torch(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"label": rng.integers(0, 2, 300), "score": rng.random(300),
                          "sex": rng.choice(["f", "m"], 300)})  # fmt: skip
    frame.to_csv(tmp_path / "p.csv", index=False)
    code = (
        "import sys\nfrom dnnrepair.cli.main import run\n"
        "codes = [run(['audit', '--predictions', 'p.csv', '--sensitive', 'sex', '--draws', '100',"
        " '--output', f'r.{s}']) for s in ('json', 'html', 'md', 'txt')]\n"
        "print(codes, 'torch' in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() in ("[3, 3, 3, 3] False", "[0, 0, 0, 0] False")
    assert (tmp_path / "r.html").stat().st_size > 10_000


@pytest.mark.parametrize("option", [("--preprocess", "p.toml"), ("--features", "score"),
                                    ("--arch", "net.py:make")])  # fmt: skip
def test_what_is_for_a_network_is_refused_for_predictions(
    ask: Any, table: pd.DataFrame, option: tuple[str, str]
) -> None:
    said = ask(table, "--positive", "yes", *option)
    assert said.code == 2
    assert f"{option[0]} says how a MODEL reads its rows" in said.err
