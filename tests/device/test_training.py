"""Training runs are watched, and networks trained further, where the network is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.nn import functional as F

from dnnrepair import Monitor
from dnnrepair.data import ArraySamples
from dnnrepair.recover import Lesson, Recipe, recover
from tests.device.test_diagnose import Branching
from tests.monitor.loops import batches, data, network, sgd

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn


def watched(module: nn.Module, device: torch.device | str, lr: float) -> set[tuple[str, str]]:
    """Train a network under watch and return what was found."""
    module.to(device)
    optimizer = sgd(module, lr)
    with Monitor(module, optimizer, every=20) as monitor:
        for x, y in batches(160):
            there = (x.to(device), y.to(device))
            loss = monitor.loss(F.cross_entropy(module(there[0]), there[1]), there[1])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    assert {p.device for p in module.parameters()} == {torch.empty(0, device=device).device}
    return {(seen.finding.code, seen.finding.layer) for seen in monitor.findings}


@pytest.mark.parametrize("lr", [0.1, 40.0])
@pytest.mark.parametrize("make", [network, Branching])
def test_a_monitor_sees_what_it_sees_on_the_cpu(device: torch.device, make: Any, lr: float) -> None:
    found = []
    for place in ("cpu", device):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            found.append(watched(make(), place, lr))
    assert found[0] == found[1]
    assert len(found[0]) > 0


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_networks_are_trained_further(device: torch.device, tmp_path: Path, precision: str) -> None:
    if precision != "float32" and device.type != "cuda":
        pytest.skip("the emulated device lacks autocast")
    x, y = data()
    lesson = Lesson(
        train=ArraySamples((x[:768],), y[:768], "training data"),
        valid=ArraySamples((x[768:],), y[768:], "validation data"),
    )
    recipe = Recipe(epochs=3, precision=precision)
    found = []
    for place in ("cpu", device):
        rng = torch.Generator().manual_seed(7)
        kept = tmp_path / str(place)
        trained = recover(network().to(place), lesson, recipe, generator=rng, checkpoint=kept)
        found.append(trained)
        assert {p.device.type for p in trained.module.parameters()} == {torch.device(place).type}
    here, there = found
    if precision == "float32":
        for own, other in zip(here.module.parameters(), there.module.parameters(), strict=True):
            torch.testing.assert_close(other.cpu(), own, rtol=1e-3, atol=1e-4)
