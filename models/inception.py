"""A block network after Inception-ResNet (Szegedy et al., AAAI 2017), for 8 x 8 images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Unit(nn.Module):
    """Convolution, BatchNorm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        """Keep the side, map ``inputs`` channels to ``outputs``."""
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, outputs, H, W)`` from ``(N, inputs, H, W)``."""
        return F.relu(self.bn(self.conv(x)))


class Block(nn.Module):
    """Three branches side by side, joined, scaled down and added to the input (figure 16)."""

    def __init__(self, width: int, scale: float) -> None:
        """Make branches ``width / 4`` wide; ``scale`` in [0.1, 0.3] keeps training stable."""
        super().__init__()
        narrow = width // 4
        self.short = Unit(width, narrow, 1)
        self.medium = nn.Sequential(Unit(width, narrow, 1), Unit(narrow, narrow, 3))
        self.long = nn.Sequential(
            Unit(width, narrow, 1), Unit(narrow, narrow, 3), Unit(narrow, narrow, 3)
        )
        self.join = nn.Conv2d(3 * narrow, width, 1)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, width, H, W)`` from the same shape."""
        branches = torch.cat([self.short(x), self.medium(x), self.long(x)], dim=1)
        return F.relu(x + self.scale * self.join(branches))


class InceptionResNet(nn.Module):
    """A stem, blocks at 8 x 8, a reduction, blocks at 4 x 4."""

    def __init__(self, classes: int = 10, width: int = 32, scale: float = 0.3) -> None:
        """Make a network for ``(N, 1, 8, 8)``."""
        super().__init__()
        self.stem = Unit(1, width, 3)
        self.fine = nn.Sequential(Block(width, scale), Block(width, scale))
        self.widen = Unit(width, 2 * width, 3)
        self.coarse = nn.Sequential(Block(2 * width, scale), Block(2 * width, scale))
        self.head = nn.Linear(2 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, classes)`` from ``(N, 1, 8, 8)``."""
        x = F.max_pool2d(self.fine(self.stem(x)), 2)
        x = self.coarse(self.widen(x))
        y: Tensor = self.head(x.mean(dim=(2, 3)))
        return y
