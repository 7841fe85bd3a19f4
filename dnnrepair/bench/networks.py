"""The reference networks at the size of real use, for benchmarks of speed."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BenchCNN(nn.Module):
    """conv16 - conv32 - dense128 - dense10 on 28 x 28 images: 3.2 million parameters."""

    def __init__(self) -> None:
        """Make a network for ``(N, 1, 28, 28)``."""
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.hidden = nn.Linear(25088, 128)
        self.head = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, 10)`` from ``(N, 1, 28, 28)``."""
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        logits: Tensor = self.head(F.relu(self.hidden(x.flatten(1))))
        return logits


class BenchTransformer(nn.Module):
    """Two pre-norm blocks of width 64 with 4 heads over 64 tokens."""

    def __init__(self) -> None:
        """Make a network for ``(N, 64)`` token ids below 17."""
        super().__init__()
        self.embedding = nn.Embedding(17, 64)
        self.position = nn.Parameter(0.02 * torch.randn(64, 64))
        block = nn.TransformerEncoderLayer(64, 4, 256, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(block, 2, enable_nested_tensor=False)
        self.head = nn.Linear(64, 10)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits ``(N, 10)`` from ``(N, 64)``."""
        logits: Tensor = self.head(self.blocks(self.embedding(tokens) + self.position).mean(1))
        return logits


class BenchLSTM(nn.Module):
    """Reads 30 words of a vocabulary of 5,000, embedded 100 wide, into a state of 64."""

    def __init__(self) -> None:
        """Make a network for ``(N, 30)`` word numbers below 5,000."""
        super().__init__()
        self.embedding = nn.Embedding(5000, 100)
        self.recurrent = nn.LSTM(100, 64, batch_first=True)
        self.head = nn.Linear(64, 10)

    def forward(self, words: Tensor) -> Tensor:
        """Return logits ``(N, 10)`` from ``(N, T)``."""
        states = self.recurrent(self.embedding(words))[0]  # (N, T, 64)
        logits: Tensor = self.head(states[:, -1])
        return logits
