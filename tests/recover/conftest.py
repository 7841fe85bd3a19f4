"""A small problem that a small network can learn, and a network that has not learned it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dnnrepair.data import ArraySamples
from dnnrepair.recover import Lesson


@pytest.fixture
def lesson() -> Lesson:
    """Three classes by linear scores: 240 samples to learn from, 120 to validate."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(360, 6, generator=rng)
    y = (x @ torch.randn(6, 3, generator=rng)).argmax(1)
    return Lesson(
        train=ArraySamples((x[:240],), y[:240], "training data"),
        valid=ArraySamples((x[240:],), y[240:], "validation data"),
    )


@pytest.fixture
def network() -> nn.Module:
    """Return an untrained network with batch norm and dropout."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3)
        )


@pytest.fixture
def plain() -> nn.Module:
    """Return an untrained network without anything random."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3)).eval()


@pytest.fixture
def rng() -> torch.Generator:
    """Return a fresh generator."""
    return torch.Generator().manual_seed(7)
