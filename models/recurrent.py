"""Recurrent networks that read an image row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class Reader(nn.Module):
    """A recurrent layer whose last state is classified."""

    def __init__(
        self,
        cell: type[nn.LSTM | nn.GRU | nn.RNN],
        inputs: int = 8,
        hidden: int = 64,
        classes: int = 10,
    ) -> None:
        """Make a reader of ``(N, T, inputs)`` with one layer of ``cell``."""
        super().__init__()
        self.recurrent = cell(inputs, hidden, batch_first=True)
        self.head = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, classes)`` from ``(N, T, inputs)``."""
        states = self.recurrent(x)[0]  # (N, T, hidden)
        y: Tensor = self.head(states[:, -1])
        return y
