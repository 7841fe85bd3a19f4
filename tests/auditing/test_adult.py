"""Adult from its CSV files to an audit, where the data are at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from fairlearn.metrics import (
    demographic_parity_difference,
    equal_opportunity_difference,
    equalized_odds_difference,
)

from dnnrepair.data.preprocessing_file import read_preprocessing
from dnnrepair.models.tabular import export_tabular, train_tabular

ROOT = Path(__file__).parents[2]
PLACES = [folder / "shared" / "data" / "adult" for folder in (ROOT.parent, ROOT.parent.parent)]
DATA = next((place for place in PLACES if place.is_dir()), None)


@pytest.mark.skipif(DATA is None, reason="shared/data holds no Adult")
def test_adult_from_its_tables(dnnrepair: Any, tmp_path: Path) -> None:
    assert DATA is not None
    train, test = DATA / "adult_train.csv.gz", DATA / "adult_test.csv.gz"
    prep, model = tmp_path / "prep.toml", tmp_path / "model.pt2"
    said = dnnrepair("preprocess", train, "--label", "income", "--output", prep)
    assert said.code == 0, said.err
    how = read_preprocessing(prep)
    rows = pd.read_csv(train)
    inputs = how.encode(rows, "train")
    network = train_tabular(inputs, (rows["income"].str.strip() == ">50K").to_numpy().astype(int),
                            hidden=(16,), epochs=2)  # fmt: skip
    export_tabular(network, how.width, model)
    said = dnnrepair(
        *("audit", model, "--data", test, "--label", "income", "--positive", ">50K"),
        *("--sensitive", "sex,race", "--preprocess", prep, "--draws", "100"),
        *("--output", tmp_path / "r.json"),
    )
    assert said.code == 1, said.err  # the data are known to be unfair
    report = json.loads((tmp_path / "r.json").read_text())
    judged = pd.read_csv(test)
    with torch.no_grad():
        answered = network(torch.from_numpy(how.encode(judged, "test"))).softmax(1)[:, 1].numpy()
    decided, label = answered >= 0.5, judged["income"].str.strip() == ">50K"
    assert 0.8 < (decided == label).mean() < 0.9
    found = {(d["id"], d["attribute"]): d["value"] for d in report["before"][0]["disparities"]}
    for name, of in (
        ("demographic_parity_difference", demographic_parity_difference),
        ("equal_opportunity_difference", equal_opportunity_difference),
        ("equalized_odds_difference", equalized_odds_difference),
    ):
        expected = of(label, decided, sensitive_features=judged["sex"])
        assert found[name, "sex"] == pytest.approx(expected, abs=1e-12)
    sizes = {g["level"]: g["n"] for g in report["before"][0]["groups"] if g["attribute"] == "race"}
    assert sum(sizes.values()) == len(judged) == 16_281
    assert np.isfinite(found["demographic_parity_difference", "race"])
    assert {one["attribute"] for one in report["individual"]} == {"sex", "race"}
    assert all(one["flip_rate"]["value"] > 0 for one in report["individual"])
