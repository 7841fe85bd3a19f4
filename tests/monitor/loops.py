"""A small network, its data, and a training loop as a user would write it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from dnnrepair import Monitor

BATCH = 128


def network(seed: int = 0, classes: int = 3) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, classes)
        )


def data(seed: int = 0) -> tuple[Tensor, Tensor]:
    x = torch.randn(1024, 8, generator=torch.Generator().manual_seed(seed))
    return x, x[:, :3].argmax(1)


def batches(steps: int, size: int = BATCH, seed: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    x, y = data()
    rng = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        chosen = torch.randint(0, len(x), (size,), generator=rng)
        yield x[chosen], y[chosen]


def train(
    monitor: Monitor,
    model: nn.Module,
    optimizer: Any,
    steps: int,
    *,
    called: Any = None,
    accumulate: int = 1,
) -> None:
    for step, (x, y) in enumerate(batches(steps * accumulate), 1):
        loss = monitor.loss(F.cross_entropy((called or model)(x), y), y)
        (loss / accumulate).backward()
        if step % accumulate == 0:
            optimizer.step()
            optimizer.zero_grad()


def sgd(model: nn.Module, lr: float = 0.1) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=lr)
