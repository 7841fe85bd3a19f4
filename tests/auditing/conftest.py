"""Tables of predictions and a small network trained on made-up census rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from dnnrepair.data.preprocessing import fit_preprocessing
from dnnrepair.data.preprocessing_file import as_toml
from dnnrepair.models.census import synthetic_census
from dnnrepair.models.tabular import export_tabular, train_tabular
from tests.cli.conftest import Said, dnnrepair

__all__ = ["Said", "dnnrepair"]

if TYPE_CHECKING:
    from collections.abc import Callable


def predictions(rows: int = 800, seed: int = 0) -> pd.DataFrame:
    """Rows with text labels, decisions, scores and two attributes."""
    rng = np.random.default_rng(seed)
    label = rng.random(rows) < 0.4
    score = np.clip(0.25 + 0.5 * label + rng.normal(0, 0.2, rows), 0, 1)
    return pd.DataFrame(
        {
            "id": np.arange(rows),
            "label": np.where(label, "yes", "no"),
            "score": score,
            "sex": rng.choice(["Female", "Male"], rows),
            "race": rng.choice(["A", "B", "C"], rows),
            "age": rng.integers(18, 90, rows),
        }
    )


@pytest.fixture
def table() -> pd.DataFrame:
    return predictions()


@pytest.fixture
def ask(dnnrepair: Any, tmp_path: Path) -> Callable[..., Said]:
    """Return a function that audits a table of predictions, by sex unless told otherwise."""

    def asked(frame: pd.DataFrame, *more: str, sensitive: str = "sex") -> Said:
        path = tmp_path / "p.csv"
        frame.to_csv(path, index=False)
        found: Said = dnnrepair(
            "audit", "--predictions", path, "--sensitive", sensitive, "--draws", "200", *more
        )
        return found

    return asked


@dataclass(frozen=True)
class Example:
    """Files of a network and its table."""

    model: Path
    data: Path
    preprocess: Path
    frame: pd.DataFrame

    def arguments(self, sensitive: str = "sex") -> tuple[str, ...]:
        return (
            *("audit", str(self.model), "--data", str(self.data), "--label", "income"),
            *("--positive", ">50K", "--preprocess", str(self.preprocess), "--draws", "200"),
            *("--sensitive", sensitive),
        )


@pytest.fixture(scope="session")
def census(tmp_path_factory: pytest.TempPathFactory) -> Example:
    folder = tmp_path_factory.mktemp("census")
    rows = synthetic_census(3000)
    train, test = rows[:1500], rows[1500:].reset_index(drop=True)
    found = fit_preprocessing(train, "train", leave=["income"])
    labels = (train["income"] == ">50K").to_numpy().astype(int)
    network = train_tabular(found.encode(train, "train"), labels, hidden=(8,), epochs=5)
    example = Example(folder / "model.pt2", folder / "test.csv", folder / "prep.toml", test)
    export_tabular(network, found.width, example.model)
    test.to_csv(example.data, index=False)
    example.preprocess.write_text(as_toml(found))
    return example
