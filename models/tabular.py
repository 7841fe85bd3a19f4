"""Small networks for tables, trained in seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F

from dnnrepair.models.mlp import MLP

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


def train_tabular(
    inputs: NDArray[Any],
    labels: NDArray[Any],
    *,
    hidden: Sequence[int] = (64, 32, 16),
    epochs: int = 10,
    batch_size: int = 256,
    learning_rate: float = 2e-3,
    seed: int = 0,
) -> nn.Module:
    """Return a multilayer perceptron trained with Adam, in evaluation mode.

    Args:
        inputs: ``(rows, features)``.
        labels: ``(rows,)`` class numbers from 0.
        hidden: widths of its layers.
        epochs: passes over the rows.
        batch_size: rows a step.
        learning_rate: at the start; falls to 0 along a cosine.
        seed: of weights and of the order of rows; torch's global state stays as it was.
    """
    x, y = torch.tensor(inputs, dtype=torch.float32), torch.tensor(labels, dtype=torch.int64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = MLP(x.shape[1], hidden, max(2, int(y.max()) + 1))
    order = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    steps = epochs * -(-len(x) // batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(epochs):
        for places in torch.randperm(len(x), generator=order).split(batch_size):
            optimizer.zero_grad()
            F.cross_entropy(network(x[places]), y[places]).backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def export_tabular(network: nn.Module, width: int, path: Path) -> None:
    """Write a network that reads ``(rows, width)`` as a ``.pt2`` file, for any number of rows."""
    rows = {0: torch.export.Dim("rows")}
    example = (torch.zeros(4, width),)
    torch.export.save(torch.export.export(network, example, dynamic_shapes=(rows,)), path)
