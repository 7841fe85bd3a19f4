"""The benchmark of activations: what it trains, how it judges units, and what it draws."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import torch

from dnnrepair.activations import activations, find
from dnnrepair.bench import activations as bench
from dnnrepair.bench.activation_data import Split, digits_split
from dnnrepair.bench.activation_networks import NETWORKS, pre_activations, train
from dnnrepair.bench.activation_plot import plot
from dnnrepair.bench.activations import Run, health, steepest, table, trial
from dnnrepair.bench.result import BenchOptions


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def split() -> Split:
    data = digits_split(epochs=3)
    return replace(data, test_x=data.test_x[:200], test_y=data.test_y[:200])


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", list(activations))
def test_every_activation_fits_into_both_networks(name: str, network: str, split: Split) -> None:
    made = NETWORKS[network](find(name), split.side, rng())
    out = made(0.1 * split.test_x[:5])
    assert out.shape == (5, 10)
    assert out.isfinite().all()
    sites = pre_activations(made, split.test_x[:5])
    assert [z.shape[1] % find(name).inputs for z in sites] == [0] * len(made.sites)


@pytest.mark.parametrize("name", ["relu", "maxout", "pann"])
def test_training_learns_and_is_repeatable(name: str, split: Split) -> None:
    first, again = (trial(find(name), "mlp", split, seed=1) for _ in range(2))
    assert first == again
    assert first.accuracy > 0.75


def test_planted_dead_units_are_counted(split: Split) -> None:
    made = NETWORKS["mlp"](find("relu"), split.side, rng())
    with torch.no_grad():
        made.layers[0].get_parameter("bias")[:16] = -1000.0
    before = health(NETWORKS["mlp"](find("relu"), split.side, rng()), split.test_x, 1.0)[0]
    dead, saturated = health(made, split.test_x, 1.0)
    assert dead - before == pytest.approx(16 / 128, abs=0.02)
    zeros = [float((z <= 0).double().mean()) for z in pre_activations(made, split.test_x)]
    assert saturated == pytest.approx(sum(zeros) / 2)


def test_saturation_is_measured_by_the_slope(split: Split) -> None:
    made = NETWORKS["mlp"](find("tanh"), split.side, rng())
    with torch.no_grad():
        made.layers[0].get_parameter("weight").mul_(20)
    flat = [(z.abs() > 2.178).double().mean() for z in pre_activations(made, split.test_x)]
    _, saturated = health(made, split.test_x, steepest(find("tanh")))
    assert saturated == pytest.approx(float(sum(flat)) / 2, abs=1e-3)


def test_a_loss_that_is_not_finite_ends_training(split: Split) -> None:
    made = NETWORKS["mlp"](find("relu"), split.side, rng())
    with torch.no_grad():
        made.layers[0].get_parameter("weight").fill_(math.nan)
    assert not train(made, split, rng())


def test_the_most_accurate_stand_first_and_what_diverged_last(split: Split) -> None:
    accuracy = {name: place / 100 for place, name in enumerate(activations)}
    accuracy["silu"] = math.nan
    runs = [
        Run(activation=n, network=w, seed=0, accuracy=a, dead=0.0, saturated=0.25)
        for n, a in accuracy.items()
        for w in NETWORKS
    ]
    rows = table(split, runs, {(n, w): 1e-3 for n in activations for w in NETWORKS}, 1).rows
    best = max((a, n) for n, a in accuracy.items() if not math.isnan(a))[1]
    assert rows[0][0] == best
    assert rows[-1][:3] == ("silu", "-", "-")
    assert rows[0][3:] == ("1.00", "1.00", "0.0 %", "25.0 %")


RUNS = [
    ("relu", "mlp", 0.9),
    ("relu", "cnn", 0.8),
    ("<gelu>", "mlp", 0.7),
    ("silu", "mlp", math.nan),
]


def test_the_plot_is_a_picture_that_stands_alone() -> None:
    drawn = plot("digits", RUNS)
    root = ET.fromstring(drawn)
    assert root.tag.endswith("svg")
    text = "".join(root.itertext())
    for phrase in ("relu", "<gelu>", "mlp", "cnn", "accuracy on digits"):
        assert phrase in text
    assert "silu" not in text
    assert plot("digits", RUNS) == drawn


def test_fashion_mnist_that_is_not_there_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "steps", lambda *_, **__: {})
    monkeypatch.setattr(bench, "trained", lambda *_: [])
    monkeypatch.setattr(bench, "table", lambda *_: None)
    monkeypatch.setattr(bench, "plot", lambda *_: "")
    result = bench.run(BenchOptions(data_dir=tmp_path))
    (said,) = result.skipped
    assert said.startswith("Fashion-MNIST: ")
    assert "does not exist; give the folder" in said
