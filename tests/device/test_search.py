"""Searches find the same, bit for bit, on any device, and go on where they were left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from dnnrepair.evolve.box import Box
from dnnrepair.evolve.checkpoint import Checkpoint
from dnnrepair.evolve.driver import search
from dnnrepair.evolve.rand1bin import Rand1Bin
from dnnrepair.evolve.shade import Shade
from dnnrepair.evolve.stopping import Stopping
from tests.device import emulated

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from dnnrepair.evolve.state import State

SEEDS = [1, -5]


def fitness(values: Tensor) -> Tensor:
    """Return minus the squared distance from 0.5, rounded alike everywhere."""
    total = torch.zeros(values.shape[:-1], dtype=torch.float64, device=values.device)
    for x in values.double().unbind(-1):
        total = total - (x - 0.5) * (x - 0.5)
    return total


def box(device: torch.device | str) -> Box:
    bound = torch.full((3,), 5.0, device=device)
    return Box(-bound, bound)


def assert_same(one: State, other: State) -> None:
    theirs = other.tensors()
    for name, tensor in one.tensors().items():
        assert torch.equal(tensor.cpu(), theirs[name].cpu()), name


@pytest.mark.parametrize("kind", [Rand1Bin, Shade])
def test_a_search_moves_between_devices(device: torch.device, tmp_path: Path, kind: Any) -> None:
    strategy = kind(candidates=8)
    whole = search(strategy, fitness, box("cpu"), SEEDS, stopping=Stopping(generations=20))
    there = search(strategy, fitness, box(device), SEEDS, stopping=Stopping(generations=20))
    assert there.best.device == device
    assert_same(there.state, whole.state)
    kept = Checkpoint(tmp_path / "search.safetensors", "problem")
    for place, part in (("cpu", 7), (device, 13), ("cpu", 20)):
        until = Stopping(generations=part)
        found = search(strategy, fitness, box(place), SEEDS, stopping=until, checkpoint=kept)
    assert_same(found.state, whole.state)


@pytest.mark.parametrize("kind", [Rand1Bin, Shade])
def test_no_generation_waits(device: torch.device, kind: Any) -> None:
    if device.type == "cuda":
        pytest.skip("captured in tests/kernels")
    strategy, here = kind(candidates=8), box(device)
    state = strategy.init(SEEDS, here, ahead=1)
    state.fitness.copy_(fitness(state.population))

    def step() -> None:
        trials = strategy.ask(state)
        state.copy_(strategy.tell(state, trials, fitness(trials)))

    step()
    with emulated.capturing():
        step()
