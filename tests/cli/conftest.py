"""A small network in a file of its own, with data, as a user would have them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from dnnrepair.cli.main import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NETWORK = """
from torch import nn


def make():
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))


def broken():
    raise RuntimeError("no such weights")


def leaving():
    raise SystemExit(0)


def chatty():
    print("this is no report")
    return make()
"""


@dataclass(frozen=True)
class Said:
    """What a run left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def dnnrepair(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Return a function that runs the command line in this process."""

    def called(*arguments: str | Path) -> Said:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return called


@pytest.fixture
def network(here: Path) -> Path:
    """Write ``net.py`` and ``model.pt``, a healthy untrained network, and return the latter."""
    import torch
    from torch import nn

    (here / "net.py").write_text(NETWORK)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        hidden = nn.Linear(8, 16)
        nn.init.kaiming_normal_(hidden.weight)
        module = nn.Sequential(hidden, nn.ReLU(), nn.Linear(16, 4))
    torch.save(module.state_dict(), here / "model.pt")
    return here / "model.pt"


@pytest.fixture
def dead(network: Path) -> Path:
    """Write ``dead.pt``, whose ReLUs never fire, and return it."""
    import torch

    state = torch.load(network, weights_only=True)
    state["0.bias"] = torch.full((16,), -1000.0)
    torch.save(state, network.with_name("dead.pt"))
    return network.with_name("dead.pt")


@pytest.fixture
def data(here: Path) -> Path:
    """Write ``data.npz`` with 600 samples and return it."""
    rng = np.random.default_rng(0)
    np.savez(here / "data.npz", x=_inputs(rng, 600), y=rng.integers(0, 4, 600))
    return here / "data.npz"


@pytest.fixture
def few(here: Path) -> Path:
    """Write ``few.npz`` with 20 samples and return it."""
    rng = np.random.default_rng(1)
    np.savez(here / "few.npz", x=_inputs(rng, 20), y=rng.integers(0, 4, 20))
    return here / "few.npz"


def _inputs(
    rng: np.random.Generator, count: int
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return rng.standard_normal((count, 8)).astype(np.float32)
