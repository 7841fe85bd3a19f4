"""A network that treats made-up people unequally, and a run of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dnnrepair.data.preprocessing import fit_preprocessing
from dnnrepair.data.preprocessing_file import as_toml
from dnnrepair.fairness.descent import Descent
from dnnrepair.models.census import synthetic_census
from dnnrepair.models.tabular import export_tabular, train_tabular
from tests.auditing.conftest import Example, Said, dnnrepair

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["dnnrepair"]


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Example:
    folder = tmp_path_factory.mktemp("people")
    rows = synthetic_census(12000).drop_duplicates().reset_index(drop=True)
    train, test = rows[:3000], rows[3000:].reset_index(drop=True)
    found = fit_preprocessing(train, "train", leave=["income"])
    labels = (train["income"] == ">50K").to_numpy().astype(int)
    encoded = found.encode(train, "train")
    network = train_tabular(encoded, labels, hidden=(16,), epochs=20, learning_rate=1e-2)
    example = Example(folder / "model.pt2", folder / "rows.csv", folder / "prep.toml", test)
    export_tabular(network, found.width, example.model)
    test.to_csv(example.data, index=False)
    example.preprocess.write_text(as_toml(found))
    return example


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a descent take a second."""
    quick = Descent(emphases=(1.0, 1.25), steps=150, looks=5, rate=5e-3, batch=256)
    monkeypatch.setattr("dnnrepair.fairness.repair.Descent", lambda: quick)


@pytest.fixture
def debias(dnnrepair: Any, people: Example, tmp_path: Path, short: None) -> Callable[..., Said]:  # noqa: ARG001
    """Return a function that repairs the network, with some options changed."""

    def called(*more: str | Path, **changed: str | Path) -> Said:
        options: dict[str, str | Path] = {
            "data": people.data, "label": "income", "positive": ">50K", "sensitive": "sex",
            "preprocess": people.preprocess, "draws": "200", "patch": tmp_path / "p.patch",
        }  # fmt: skip
        model = changed.pop("model", people.model)
        options |= changed
        flags = [part for name, given in options.items() for part in (f"--{name}", given)]
        found: Said = dnnrepair("debias", model, *flags, "--no-baselines", *more)
        return found

    return called
