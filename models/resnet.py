"""The residual network for small images of He et al., CVPR 2016, section 4.2."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

_STAGES = 3


class Shortcut(nn.Module):
    """Their parameter-free option A: every other pixel, new channels zero."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Map ``inputs`` channels to ``outputs``, halving the side if they differ."""
        super().__init__()
        self.added = outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, outputs, H / 2, W / 2)`` from ``(N, inputs, H, W)``."""
        if not self.added:
            return x
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.added // 2, self.added - self.added // 2))


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Map ``inputs`` channels to ``outputs``, halving the side if they differ."""
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = Shortcut(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, outputs, H / stride, W / stride)`` from ``(N, inputs, H, W)``."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """6n + 2 layers; ResNet-20 is n = 3, of width 16 in the paper."""

    def __init__(self, blocks: int = 3, width: int = 16, channels: int = 1, cls: int = 10) -> None:
        """Make three stages of ``blocks`` blocks, ``width`` to ``4 * width`` wide."""
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        stages: list[nn.Module] = []
        inputs = width
        for stage in range(_STAGES):
            outputs = width * 2**stage
            for _ in range(blocks):
                stages.append(Block(inputs, outputs))
                inputs = outputs
        self.blocks = nn.Sequential(*stages)
        self.head = nn.Linear(inputs, cls)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, classes)`` from ``(N, channels, H, W)``."""
        x = self.blocks(F.relu(self.bn(self.conv(x))))
        y: Tensor = self.head(x.mean(dim=(2, 3)))
        return y
