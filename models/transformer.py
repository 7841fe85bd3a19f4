"""A small pre-LN transformer over tokens, with sinusoidal positions (Vaswani et al., 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def sinusoids(length: int, width: int) -> Tensor:
    """Return their positional encoding ``(length, width)``, section 3.5."""
    position = torch.arange(length).unsqueeze(1)
    rate = 10000.0 ** (-torch.arange(0, width, 2) / width)
    encoding = torch.zeros(length, width)
    encoding[:, 0::2] = torch.sin(position * rate)
    encoding[:, 1::2] = torch.cos(position * rate)
    return encoding


class Block(nn.Module):
    """Attention, then two linear layers, each on a normalized copy of the residual stream."""

    def __init__(self, width: int, heads: int) -> None:
        """Make a block ``width`` wide whose inner layer is twice as wide."""
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm2 = nn.LayerNorm(width)
        self.linear1 = nn.Linear(width, 2 * width)
        self.linear2 = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, T, width)`` from the same shape."""
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        y = F.gelu(self.linear1(self.norm2(x)))
        z: Tensor = x + self.linear2(y)
        return z


class Transformer(nn.Module):
    """Token embedding, positions, blocks, and all tokens side by side classified."""

    positions: Tensor

    def __init__(
        self,
        vocabulary: int,
        length: int,
        width: int = 64,
        heads: int = 4,
        blocks: int = 2,
        classes: int = 10,
    ) -> None:
        """Make a network for ``length`` tokens of ``vocabulary``."""
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.register_buffer("positions", sinusoids(length, width))
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(length * width, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits ``(N, classes)`` from token numbers ``(N, length)``."""
        x = self.blocks(self.embedding(tokens) + self.positions)
        y: Tensor = self.head(self.norm(x).flatten(1))
        return y
