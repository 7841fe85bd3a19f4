"""Parameters that each channel has of its own."""

from __future__ import annotations

from torch import Tensor  # noqa: TC002 - TorchScript looks the annotations up


def per_channel(value: Tensor, x: Tensor) -> Tensor:
    """Return ``(C,)`` so that it acts on dimension 1 of ``x`` ``(N, C, ...)``; ``(1,)`` on all."""
    if value.numel() == 1:
        return value
    for _ in range(x.dim() - 2):
        value = value.unsqueeze(-1)
    return value
