"""A learned sum over neighboring pixels that starts as the identity."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Neighbors(nn.Module):
    """A depthwise convolution and a BatchNorm, for ``(N, C, H, W)``."""

    def __init__(
        self, channels: int, reach: int, center: float = 1.0, dtype: torch.dtype | None = None
    ) -> None:
        """Start as ``center x``: a kernel that copies, a BatchNorm that changes nothing."""
        super().__init__()
        width = 2 * reach + 1
        self.conv = nn.Conv2d(
            channels, channels, width, padding=reach, groups=channels, bias=False, dtype=dtype
        )
        nn.init.dirac_(self.conv.weight, groups=channels)
        self.conv.weight.data.mul_(center)
        self.norm = nn.BatchNorm2d(channels, eps=1e-6, dtype=dtype)
        nn.init.constant_(self.norm.weight, (1 + self.norm.eps) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Return values in the shape of ``x``."""
        y: Tensor = self.norm(self.conv(x))
        return y
