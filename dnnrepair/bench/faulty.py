"""Networks that training itself has made faulty, for the benchmark of the whole repair."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from dnnrepair.models.cnn import CNN, NormalizedCNN
from dnnrepair.models.measuring import BATCH_NORM
from dnnrepair.models.mlp import MLP, scaled_for
from dnnrepair.models.recipe import seeded
from dnnrepair.models.resnet import ResNet
from dnnrepair.models.structures import ReluHead, SoftmaxHead, become

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

_DEEP = (48,) * 8
_WIDTHS = (64, 48, 32)


def _deep(activation: type[nn.Module], nonlinearity: str) -> nn.Module:
    return scaled_for(MLP(64, _DEEP, 10, activation), nonlinearity)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "mlp": partial(MLP, 64, _WIDTHS, 10),
    "mlp-tanh": partial(MLP, 64, _WIDTHS, 10, nn.Tanh),
    "mlp-deep": partial(_deep, nn.ReLU, "relu"),
    "mlp-deep-tanh": partial(_deep, nn.Tanh, "tanh"),
    "mlp-deep-sigmoid": partial(MLP, 64, _DEEP, 10, nn.Sigmoid),
    "cnn": CNN,
    "cnn-bn": NormalizedCNN,
    "groupnorm-cnn": partial(NormalizedCNN, groups=4),
    "resnet8": partial(ResNet, 1, 8),
}
TWINS = {"mlp-deep-sigmoid": "mlp-deep"}  # eight sigmoid layers do not learn, however drawn


@dataclass(frozen=True, kw_only=True)
class FaultyTraining:
    """A way to train that leaves a fault.

    Attributes:
        fault: its kind.
        name: what was done, in words.
        networks: keys of ``NETWORKS`` that it spoils.
        change: spoils the fresh network.
        optimizer: "adam" or "sgd" (momentum 0.9).
        rate: its learning rate.
        epochs: that it trains.
        scale, shift: what the inputs are multiplied by, and what is added.
    """

    fault: str
    name: str
    networks: tuple[str, ...]
    change: Callable[[nn.Module], nn.Module] = field(default=lambda network: network)
    optimizer: str = "adam"
    rate: float = 3e-3
    epochs: int = 8
    scale: float = 1.0
    shift: float = 0.0


@torch.no_grad()
def _rescaled(factor: float, network: nn.Module) -> nn.Module:
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            layer.weight.mul_(factor)
    return network


@torch.no_grad()
def _constant(value: float, network: nn.Module) -> nn.Module:
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            layer.weight.fill_(value)
            if layer.bias is not None:
                layer.bias.zero_()
    return network


def _slow_statistics(network: nn.Module) -> nn.Module:
    for layer in network.modules():
        if isinstance(layer, BATCH_NORM):
            layer.momentum = 1e-4
    return network


def _headed(kind: type[nn.Linear], network: nn.Module) -> nn.Module:
    become(network.get_submodule("head"), kind)
    return network


_unscaled = partial(FaultyTraining, fault="unscaled input", scale=255.0)
_exploding = partial(FaultyTraining, fault="exploding", optimizer="sgd", rate=0.05)
TRAININGS = (
    FaultyTraining(
        fault="dying ReLU",
        name="Adam at a rate of 0.1",
        networks=("mlp", "mlp-deep", "cnn"),
        rate=0.1,
    ),
    FaultyTraining(fault="vanishing", name="eight sigmoid layers", networks=("mlp-deep-sigmoid",)),
    FaultyTraining(
        fault="vanishing",
        name="weights drawn at a sixth of their size",
        networks=("mlp-deep", "mlp-deep-tanh"),
        change=partial(_rescaled, 1 / 6),
    ),
    _exploding(
        name="weights drawn eight times too large",
        networks=("mlp", "mlp-deep", "mlp-deep-tanh", "cnn"),
        change=partial(_rescaled, 8.0),
    ),
    FaultyTraining(
        fault="bad initialization",
        name="all weights 0.02",
        networks=("mlp", "mlp-tanh", "mlp-deep", "cnn", "groupnorm-cnn"),
        change=partial(_constant, 0.02),
    ),
    FaultyTraining(
        fault="wrong output activation",
        name="softmax before cross entropy",
        networks=("mlp", "cnn", "cnn-bn", "resnet8"),
        change=partial(_headed, SoftmaxHead),
    ),
    FaultyTraining(
        fault="wrong output activation",
        name="ReLU before cross entropy",
        networks=("mlp", "cnn"),
        change=partial(_headed, ReluHead),
    ),
    _unscaled(name="bytes, SGD", networks=("mlp-tanh", "cnn"), optimizer="sgd", rate=0.01),
    _unscaled(name="bytes plus 1000", networks=("mlp", "mlp-tanh", "cnn"), shift=1000.0),
    FaultyTraining(
        fault="stale batch norm",
        name="a momentum of 1e-4",
        networks=("cnn-bn", "resnet8"),
        change=_slow_statistics,
    ),
    FaultyTraining(
        fault="oscillating loss",
        name="SGD at a rate of 1",
        networks=("mlp", "mlp-deep", "cnn", "groupnorm-cnn"),
        optimizer="sgd",
        rate=1.0,
    ),
)
HEALTHY = FaultyTraining(  # on Fashion-MNIST, 20 epochs leave 5 to 10 points to be learned
    fault="none", name="none", networks=tuple(NETWORKS), epochs=60
)


def trained(training: FaultyTraining, network: str, x: Tensor, y: Tensor, seed: int) -> nn.Module:
    """Return a network after a training, in evaluation mode; the same seed gives the same one.

    Args:
        training: how.
        network: a key of ``NETWORKS``.
        x: inputs as :func:`given` makes them.
        y: labels.
        seed: of weights and order.
    """
    with seeded(seed):
        module = training.change(NETWORKS[network]()).train()
        rng = torch.Generator().manual_seed(seed)
        optimizer = _optimizer(training, module)
        for _ in range(training.epochs):
            for part in torch.randperm(len(x), generator=rng).split(64):
                optimizer.zero_grad()
                F.cross_entropy(module(x[part]), y[part]).backward()
                optimizer.step()
    return module.eval()


def _optimizer(training: FaultyTraining, module: nn.Module) -> torch.optim.Optimizer:
    if training.optimizer == "sgd":
        return torch.optim.SGD(module.parameters(), lr=training.rate, momentum=0.9)
    return torch.optim.AdamW(module.parameters(), lr=training.rate)


def given(training: FaultyTraining, network: str, images: Tensor) -> Tensor:
    """Return images ``(N, 1, 8, 8)`` in [0, 1] as the pipeline hands them to a network."""
    x = images * training.scale + training.shift
    return x.flatten(1) if network.startswith("mlp") else x
