"""One MLP and one CNN that take any activation, and how they are trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.activations.approximating import approximate, composite
from dnnrepair.initializers import find as find_initializer
from dnnrepair.initializers import initialize, matching

if TYPE_CHECKING:
    from collections.abc import Callable

    from dnnrepair.activations import Activation
    from dnnrepair.bench.activation_data import Split

CLASSES = 10
CONVERTED = ("pann", "polynomial")  # trained as ReLU: a polynomial explodes outside its range
PRECISION, DEGREE = 9, 4  # of them
CONVERTED_ON = 1500  # images at most, that give the ranges
BATCH, RATE = 64, 1e-3


class Trial(nn.Module):
    """Affine layers, each but the last followed by the same activation.

    Attributes:
        layers: the affine layers, the head last.
        sites: the activation behind each layer but the last.
    """

    def __init__(self, layers: list[nn.Module], sites: list[nn.Module]) -> None:
        """Put them together."""
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.sites = nn.ModuleList(sites)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, 10)`` from images ``(N, 1, H, W)``."""
        for layer, site in zip(self.layers, self.sites, strict=False):
            if isinstance(layer, nn.Conv2d):
                x = F.max_pool2d(site(layer(x)), 2)
            else:
                x = site(layer(x.flatten(1)))
        logits: Tensor = self.layers[-1](x.flatten(1))
        return logits


def mlp(activation: Activation, side: int, rng: torch.Generator) -> Trial:
    """Return two hidden layers of 64 for images of ``side`` x ``side``."""
    inner = activation.inputs
    layers = [nn.Linear(side**2, 64 * inner), nn.Linear(64, 64 * inner), nn.Linear(64, CLASSES)]
    return _drawn(list(layers), activation, rng)


def cnn(activation: Activation, side: int, rng: torch.Generator) -> Trial:
    """Return two convolutions, each pooled behind its activation, and a hidden layer of 64."""
    inner = activation.inputs
    layers = [
        nn.Conv2d(1, 8 * inner, 3, padding=1),
        nn.Conv2d(8, 16 * inner, 3, padding=1),
        nn.Linear(16 * (side // 4) ** 2, 64 * inner),
        nn.Linear(64, CLASSES),
    ]
    return _drawn(list(layers), activation, rng)


NETWORKS: dict[str, Callable[[Activation, int, torch.Generator], Trial]] = {"mlp": mlp, "cnn": cnn}


def _drawn(layers: list[nn.Module], activation: Activation, rng: torch.Generator) -> Trial:
    """Draw the weights with the initializer and the gain that suit the activation."""
    how = matching(activation)
    for place, layer in enumerate(layers[:-1]):
        reads_data = activation.inputs > 1 and place == 0  # SwiGLU's gain is of what reads it
        initialize(layer, how.initializer, gain=1.0 if reads_data else how.gain, rng=rng)
    initialize(layers[-1], find_initializer("xavier_normal"), rng=rng)
    return Trial(layers, [activation.module() for _ in layers[:-1]])


def step(network: Trial, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> float:
    """Take one step of training; return the loss."""
    optimizer.zero_grad()
    loss = F.cross_entropy(network(x), y)
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def optimizer_of(network: Trial) -> torch.optim.Optimizer:
    """Return Adam without weight decay, which learned slopes must not have."""
    return torch.optim.Adam(network.parameters(), lr=RATE)


def train(network: Trial, data: Split, rng: torch.Generator) -> bool:
    """Train in place; return whether every loss was finite."""
    optimizer = optimizer_of(network)
    network.train()
    for _ in range(data.epochs):
        for batch in torch.randperm(len(data.train_x), generator=rng).split(BATCH):
            loss = step(network, optimizer, data.train_x[batch], data.train_y[batch])
            if loss != loss or loss == float("inf"):  # noqa: PLR0124 - NaN
                return False
    network.eval()
    return True


def convert(network: Trial, name: str, data: Split) -> None:
    """Put polynomials in place of the ReLUs of a trained network, on the ranges it sees."""
    from dnnrepair.activations import find

    seen = pre_activations(network, data.train_x[:CONVERTED_ON])
    for place, z in enumerate(seen):
        if name == "pann":
            new = composite(z, precision=PRECISION).activation
        else:
            new = approximate(find("relu"), z, degree=DEGREE).activation
        network.sites[place] = new.module()
    network.eval()


def pre_activations(network: Trial, x: Tensor) -> list[Tensor]:
    """Return what enters each site, ``(N, C, ...)`` each."""
    found: list[Tensor] = []
    handles = [
        site.register_forward_pre_hook(lambda _, given: found.append(given[0]))
        for site in network.sites
    ]
    try:
        with torch.no_grad():
            network(x)
    finally:
        for handle in handles:
            handle.remove()
    return found
