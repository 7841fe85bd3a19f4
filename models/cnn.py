"""Convolutional networks for 8 x 8 images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CNN(nn.Module):
    """LeNet's plan (LeCun et al. 1998) with functional ReLUs."""

    def __init__(self, classes: int = 10, width: int = 16) -> None:
        """Make a network for ``(N, 1, 8, 8)``."""
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.fc = nn.Linear(2 * width * 4, 64)
        self.head = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, classes)`` from ``(N, 1, 8, 8)``."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc(x.flatten(1)))
        y: Tensor = self.head(x)
        return y


class NormalizedCNN(nn.Module):
    """Three convolutions, each with a normalization, then the mean over positions."""

    def __init__(self, classes: int = 10, width: int = 16, groups: int = 0) -> None:
        """Make a network for ``(N, 1, 8, 8)`` with BatchNorm, or GroupNorm of so many groups."""
        super().__init__()

        def norm(channels: int) -> nn.Module:
            return nn.GroupNorm(groups, channels) if groups else nn.BatchNorm2d(channels)

        self.conv1 = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.norm1 = norm(width)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1, bias=False)
        self.norm2 = norm(2 * width)
        self.conv3 = nn.Conv2d(2 * width, 2 * width, 3, padding=1, bias=False)
        self.norm3 = norm(2 * width)
        self.head = nn.Linear(2 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, classes)`` from ``(N, 1, 8, 8)``."""
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(x))), 2)
        x = F.relu(self.norm2(self.conv2(x)))
        x = F.relu(self.norm3(self.conv3(x)))
        y: Tensor = self.head(x.mean(dim=(2, 3)))
        return y


class FractionalPool(nn.Module):
    """Fractional max pooling (Graham 2014): random regions in training, fixed ones after it."""

    regions: Tensor

    def __init__(self, ratio: float, channels: int) -> None:
        """Pool ``channels`` planes to ``ratio`` of their side, in (0, 1)."""
        super().__init__()
        self.ratio = ratio
        self.register_buffer("regions", torch.rand(1, channels, 2))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, C, ratio H, ratio W)`` from ``(N, C, H, W)``."""
        ratio = (self.ratio, self.ratio)
        if self.training:
            return F.fractional_max_pool2d(x, 2, output_ratio=ratio)
        regions = self.regions.expand(x.shape[0], -1, -1)
        return F.fractional_max_pool2d(x, 2, output_ratio=ratio, _random_samples=regions)


class FractionalCNN(nn.Module):
    """A convolutional network that shrinks images by a factor of 0.7 at a time."""

    def __init__(self, classes: int = 10, width: int = 16) -> None:
        """Make a network for ``(N, 1, 8, 8)``."""
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 3, padding=1)
        self.pool1 = FractionalPool(0.7, width)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.pool2 = FractionalPool(0.7, 2 * width)
        self.fc = nn.Linear(2 * width * 9, 64)
        self.head = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, classes)`` from ``(N, 1, 8, 8)``."""
        x = self.pool1(F.relu(self.conv1(x)))
        x = self.pool2(F.relu(self.conv2(x)))
        x = F.relu(self.fc(x.flatten(1)))
        y: Tensor = self.head(x)
        return y
