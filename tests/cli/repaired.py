"""A network that was trained and still errs, in files as a user would have them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

NETWORK = """
from torch import nn


def make():
    return nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3))


def soft():
    return nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3), nn.Softmax(-1))


def single():
    return nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 1))
"""
COUNT = 800


@dataclass(frozen=True)
class Files:
    """What is in the folder."""

    model: Path
    data: Path
    folder: Path

    def arguments(self, *more: Any) -> tuple[Any, ...]:
        return (self.model, "--arch", "erring:make", "--data", self.data, *more)


@cache
def learned(outputs: int) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Return a state dict, inputs, and labels (or values, of one output) that it half knows."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(COUNT, 6, generator=rng)
    scores = x @ torch.randn(6, 3, generator=rng) + x.abs() @ torch.randn(6, 3, generator=rng)
    scores = scores - scores.mean(0)
    y = scores.argmax(1) if outputs > 1 else scores[:, :1]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, outputs))
        optimizer = torch.optim.Adam(net.parameters(), 1e-2)
        for _ in range(30 if outputs > 1 else 150):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y) if outputs > 1 else F.mse_loss(net(x), y)
            loss.backward()
            optimizer.step()
    return {name: value.detach() for name, value in net.state_dict().items()}, x, y


def written(folder: Path, outputs: int = 3) -> Files:
    """Write ``erring.py``, ``model.pt`` and ``data.npz``."""
    state, x, y = learned(outputs)
    (folder / "erring.py").write_text(NETWORK)
    torch.save(dict(state), folder / "model.pt")
    np.savez(folder / "data.npz", x=x.numpy(), y=y.numpy())
    return Files(folder / "model.pt", folder / "data.npz", folder)


def answers(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """Return what such a network answers, computed without it."""
    hidden = (x @ state["0.weight"].mT + state["0.bias"]).relu()
    return hidden @ state["2.weight"].mT + state["2.bias"]
