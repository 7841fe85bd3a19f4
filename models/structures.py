"""Layers as a careless author would have written them."""

# ruff: noqa: A002 - the parameter is called as in torch
from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.models.cnn import FractionalPool

_Layer = TypeVar("_Layer", bound=nn.Module)


def become(layer: nn.Module, kind: type[_Layer]) -> _Layer:
    """Turn a layer into a subclass of its own kind; names and weights stay as they are."""
    layer.__class__ = kind
    assert isinstance(layer, kind)  # noqa: S101 - just assigned
    return layer


class AlwaysDropout(nn.Linear):
    """Drops inputs even in evaluation mode: ``training=self.training`` was forgotten."""

    share: float

    def forward(self, input: Tensor) -> Tensor:
        """Return ``(..., out)`` from ``(..., in)``."""
        return super().forward(F.dropout(input, self.share, training=True))


class Noisy(nn.Linear):
    """Adds noise to its output in evaluation mode too."""

    scale: float

    def forward(self, input: Tensor) -> Tensor:
        """Return ``(..., out)`` from ``(..., in)``."""
        y = super().forward(input)
        return y + self.scale * torch.randn_like(y)


class DetachedLinear(nn.Linear):
    """Cuts the graph before itself."""

    def forward(self, input: Tensor) -> Tensor:
        """Return ``(..., out)`` from ``(..., in)``."""
        return super().forward(input.detach())


class DetachedConv2d(nn.Conv2d):
    """Cuts the graph before itself."""

    def forward(self, input: Tensor) -> Tensor:
        """Return ``(N, C', H', W')`` from ``(N, C, H, W)``."""
        return super().forward(input.detach())


class SoftmaxHead(nn.Linear):
    """Answers with probabilities, although the loss expects logits."""

    def forward(self, input: Tensor) -> Tensor:
        """Return ``(..., classes)`` from ``(..., in)``."""
        return super().forward(input).softmax(dim=-1)


class LogSoftmaxHead(nn.Linear):
    """Answers with log-probabilities, as the negative log-likelihood loss expects."""

    def forward(self, input: Tensor) -> Tensor:
        """Return ``(..., classes)`` from ``(..., in)``."""
        return super().forward(input).log_softmax(dim=-1)


class SigmoidHead(nn.Linear):
    """Answers with one probability per class, although only one class is right."""

    def forward(self, input: Tensor) -> Tensor:
        """Return ``(..., classes)`` from ``(..., in)``."""
        return super().forward(input).sigmoid()


class ReluHead(nn.Linear):
    """Cannot answer with a negative number."""

    def forward(self, input: Tensor) -> Tensor:
        """Return ``(..., out)`` from ``(..., in)``."""
        return super().forward(input).relu()


class TanhHead(nn.Linear):
    """Cannot answer with a number beyond 1."""

    def forward(self, input: Tensor) -> Tensor:
        """Return ``(..., out)`` from ``(..., in)``."""
        return super().forward(input).tanh()


class LowRankAdapted(nn.Linear):
    """A frozen layer plus a trainable product of two thin matrices (LoRA, Hu et al. 2021)."""

    down: nn.Parameter
    up: nn.Parameter

    def adapt(self, rank: int, rng: torch.Generator) -> None:
        """Add the two matrices, the second one zero, and freeze the rest."""
        self.down = nn.Parameter(torch.randn(rank, self.in_features, generator=rng) / rank)
        self.up = nn.Parameter(torch.zeros(self.out_features, rank))
        self.weight.requires_grad = False

    def forward(self, input: Tensor) -> Tensor:
        """Return ``(..., out)`` from ``(..., in)``."""
        return super().forward(input) + input @ self.down.T @ self.up.T


class RandomPool(FractionalPool):
    """Draws its regions anew at every call."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, C, ratio H, ratio W)`` from ``(N, C, H, W)``."""
        return F.fractional_max_pool2d(x, 2, output_ratio=(self.ratio, self.ratio))


class Modes(nn.Module):
    """A generator that knows only a few latent points."""

    points: Tensor

    def __init__(self, generator: nn.Module, points: Tensor) -> None:
        """Send every latent sample to the nearest of ``points``, ``(modes, latent)``."""
        super().__init__()
        self.generator = generator
        self.register_buffer("points", points)

    def forward(self, latent: Tensor) -> Tensor:
        """Return images from ``(N, latent)``."""
        nearest = torch.cdist(latent, self.points).argmin(dim=1)
        y: Tensor = self.generator(self.points[nearest])
        return y
