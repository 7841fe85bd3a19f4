"""The generator of DCGAN (Radford, Metz and Chintala, ICLR 2016) for 16 x 16 images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor


class Generator(nn.Module):
    """Transposed convolutions, each but the last with BatchNorm and ReLU, then tanh."""

    def __init__(self, latent: int = 32, width: int = 32) -> None:
        """Make a generator that starts from ``latent`` numbers."""
        super().__init__()
        self.project = nn.ConvTranspose2d(latent, 2 * width, 4, bias=False)
        self.bn1 = nn.BatchNorm2d(2 * width)
        self.enlarge = nn.ConvTranspose2d(2 * width, width, 4, 2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.draw = nn.ConvTranspose2d(width, 1, 4, 2, padding=1)

    def forward(self, latent: Tensor) -> Tensor:
        """Return images ``(N, 1, 16, 16)`` in [-1, 1] from ``(N, latent)``."""
        x = latent.unsqueeze(2).unsqueeze(3)
        x = F.relu(self.bn1(self.project(x)))
        x = F.relu(self.bn2(self.enlarge(x)))
        y: Tensor = self.draw(x)
        return y.tanh()
