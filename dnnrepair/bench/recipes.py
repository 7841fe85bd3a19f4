"""The networks of the population benchmark, and where each is patched."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from dnnrepair.bench import splits
from dnnrepair.bench.networks import BenchCNN, BenchLSTM, BenchTransformer
from dnnrepair.models.resnet import ResNet

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from dnnrepair.bench.splits import Split


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One network and where it is patched.

    Attributes:
        name: of the workload.
        make: returns the network.
        inputs: returns N random inputs.
        layers: names of the patched tensors, which share the k places equally.
        width: elements, per input, of the values that a patch changes and that exist at a time.
        split: the network cut by hand before the patched layer.
        rows: how many rows (output units, or channels) of a tensor are patched; 0 for any number.
        no_vmap: why ``torch.vmap`` cannot run the network, "" if it can.
    """

    name: str
    make: Callable[[], nn.Module]
    inputs: Callable[[int, torch.Generator], Tensor]
    layers: tuple[str, ...]
    width: int
    split: Split
    rows: int = 0
    no_vmap: str = ""


def _images(channels: int, side: int) -> Callable[[int, torch.Generator], Tensor]:
    return lambda n, rng: torch.rand(n, channels, side, side, generator=rng)


def _tokens(length: int, vocabulary: int) -> Callable[[int, torch.Generator], Tensor]:
    return lambda n, rng: torch.randint(0, vocabulary, (n, length), generator=rng)


_cnn = partial(Recipe, make=BenchCNN, inputs=_images(1, 28))
_conv = partial(_cnn, layers=("conv2.weight",), width=2 * 25088, split=splits.CNN_CONV2)
_resnet = partial(Recipe, make=partial(ResNet, 3, 16, 3), inputs=_images(3, 32))
_transformer = partial(Recipe, make=BenchTransformer, inputs=_tokens(64, 17), width=3 * 64 * 256)

RECIPES = (
    _cnn(name="head", layers=("head.weight",), width=10, split=splits.CNN_HEAD),
    _cnn(name="hidden", layers=("hidden.weight",), width=128, split=splits.CNN_HIDDEN),
    _conv(name="conv, 2 channels", rows=2),
    _conv(name="conv, 9 channels", rows=9),
    Recipe(
        name="lstm",
        make=BenchLSTM,
        inputs=_tokens(30, 5000),
        layers=("recurrent.weight_ih_l0", "recurrent.weight_hh_l0"),
        width=30 * 5 * 64,
        split=splits.LSTM,
        no_vmap="torch has no batching rule for aten::lstm",
    ),
    _resnet(
        name="resnet20, early",
        layers=("blocks.0.conv1.weight",),
        width=3 * 16 * 32 * 32,
        split=splits.resnet_from(0),
    ),
    _resnet(
        name="resnet20, middle",
        layers=("blocks.4.conv1.weight",),
        width=3 * 32 * 16 * 16,
        split=splits.resnet_from(4),
    ),
    _resnet(
        name="resnet20, late",
        layers=("blocks.8.conv2.weight",),
        width=3 * 64 * 8 * 8,
        split=splits.RESNET_LAST_CONV,
    ),
    _transformer(
        name="attention",
        layers=("blocks.layers.1.self_attn.in_proj_weight",),
        split=splits.ATTENTION,
    ),
    _transformer(
        name="transformer mlp",
        layers=("blocks.layers.1.linear1.weight",),
        split=splits.TRANSFORMER_MLP,
    ),
)


def recipe_named(name: str) -> Recipe:
    """Return the recipe of a workload."""
    return next(recipe for recipe in RECIPES if recipe.name == name)
