"""The image classifiers of Arachne's experiments, and how they are trained.

Sohn, Kang and Yoo, "Arachne: Search Based Repair of Deep Neural Networks" (TOSEM 2023); sizes are
chosen to come near the number of weights and the accuracy that they report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.data.repeatable import guarded

if TYPE_CHECKING:
    from collections.abc import Callable

Network = TypeVar("Network", bound=nn.Module)
BATCH = 128
LEARNING_RATE = 1e-3


class FashionCNN(nn.Module):
    """conv16 - conv32 - 800 - 128 - 10 on 28 x 28 images: 108,000 weights, 91 % accuracy."""

    def __init__(self) -> None:
        """Make a network for ``(N, 1, 28, 28)``."""
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3)
        self.conv2 = nn.Conv2d(16, 32, 3)
        self.hidden = nn.Linear(800, 128)
        self.head = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, 10)`` from ``(N, 1, 28, 28)``."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        logits: Tensor = self.head(F.relu(self.hidden(x.flatten(1))))
        return logits


class FashionSimple(nn.Module):
    """784 - 100 - 10: 79,400 weights, 89 % accuracy."""

    def __init__(self) -> None:
        """Make a network for ``(N, 1, 28, 28)``."""
        super().__init__()
        self.hidden = nn.Linear(784, 100)
        self.head = nn.Linear(100, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, 10)`` from ``(N, 1, 28, 28)``."""
        logits: Tensor = self.head(F.relu(self.hidden(x.flatten(1))))
        return logits


class CifarCNN(nn.Module):
    """conv32 - conv64 - 4096 - 128 - 10 on 32 x 32 images: 545,000 weights, 72 % accuracy."""

    def __init__(self) -> None:
        """Make a network for ``(N, 3, 32, 32)``."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.hidden = nn.Linear(4096, 128)
        self.head = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, 10)`` from ``(N, 3, 32, 32)``."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        logits: Tensor = self.head(F.relu(self.hidden(x.flatten(1))))
        return logits


def initialized(make: Callable[[], Network], seed: int) -> Network:
    """Return a fresh network, the same for the same seed."""
    with guarded(seed):
        return make()


def train(
    network: Network,
    x: Tensor,
    y: Tensor,
    epochs: int,
    seed: int,
    *,
    report: Callable[[int], None] | None = None,
) -> Network:
    """Train with Adam and cross entropy; return the network in evaluation mode.

    Args:
        network: is changed.
        x: inputs ``(N, ...)``, float.
        y: labels ``(N,)``.
        epochs: passes over the data.
        seed: of their order.
        report: told after each epoch how many are done.
    """
    rng = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    network.train()
    for epoch in range(epochs):
        for batch in torch.randperm(len(x), generator=rng).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(network(x[batch]), y[batch]).backward()
            optimizer.step()
        if report is not None:
            report(epoch + 1)
    return network.eval()
