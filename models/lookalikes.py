"""Networks that look odd and are healthy: no rule may raise more than a note about them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import nn

from dnnrepair.errors import ModelError
from dnnrepair.models.building import accuracy, assemble
from dnnrepair.models.faults import classifies, has_hidden, is_plain
from dnnrepair.models.faults_layers import statistics
from dnnrepair.models.measuring import (
    affine,
    affine_layers,
    batch_norm,
    batch_norms,
    hidden_affine,
    units_first,
)
from dnnrepair.models.mlp import MLP
from dnnrepair.models.recipe import Recipe, fresh, networks, train
from dnnrepair.models.structures import LogSoftmaxHead, LowRankAdapted, become
from dnnrepair.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from dnnrepair.models.reference import Reference
    from dnnrepair.models.views import Split

    Change = Callable[[Reference, torch.Generator], Reference]

_RESCALE = 8.0
_PRUNED = (0.5, 0.4, 0.3, 0.2, 0.1)  # share of weights; the first that costs little is taken
_LITTLE = 0.03  # accuracy
_LEVELS = 127  # of 8 bits, on each side of 0
_RANK = 4
_SUBSET = 5  # classes
_SPARSITY = 3e-4
_HEAVY = 0.5  # dropout
_IMAGENET = (0.449, 0.226)  # mean of the three channels' means and deviations
_RARE = 7  # the digit that is not in the majority


@dataclass(frozen=True, kw_only=True)
class LookAlike:
    """A harmless change by name.

    Attributes:
        applies: tells whether a reference network can have it.
        change: returns a new reference with the change; the old one is untouched.
        preserving: outputs stay the same up to rounding.
    """

    applies: Callable[[Reference], bool]
    change: Change
    preserving: bool


lookalikes: Registry[LookAlike] = Registry("look-alike", "dnnrepair.models")


def disguise(reference: Reference, name: str) -> Reference:
    """Return a reference with the look-alike of that name.

    Raises:
        UnknownNameError: there is none of that name.
        ModelError: it does not apply to this network.
    """
    chosen = lookalikes[name]
    if not chosen.applies(reference):
        message = (
            f"the look-alike {name!r} does not apply to {reference.name!r}; try another network"
        )
        raise ModelError(message)
    rng = torch.Generator().manual_seed(reference.seed)
    with torch.no_grad():
        changed = chosen.change(reference.copy(), rng)
    return replace(changed, accuracy=accuracy(changed) if changed.trained else None)


def lookalike(
    name: str, *, applies: Callable[[Reference], bool], preserving: bool = True
) -> Callable[[Change], Change]:
    """File a change under ``name``; it is given a copy that it may alter."""

    def decorate(change: Change) -> Change:
        entry = LookAlike(applies=applies, change=change, preserving=preserving)
        lookalikes.file(name, entry)
        return change

    return decorate


def _pairs(reference: Reference) -> tuple[tuple[str, str], ...]:
    """Return (convolution, batch normalization right behind it) by the names' order."""
    found, before = [], ""
    for name, layer in reference.module.named_modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            before = name
        elif name in batch_norms(reference) and before:
            found.append((before, name))
    return tuple(found)


@lookalike("bn-rescale", applies=lambda r: bool(_pairs(r)))
def bn_rescale(reference: Reference, rng: torch.Generator) -> Reference:
    """Enlarge a convolution; its batch normalization takes the scale out again."""
    del rng
    conv, norm = _pairs(reference)[0]
    affine(reference, conv).weight.mul_(_RESCALE)
    layer = batch_norm(reference, norm)
    mean, variance = statistics(layer)
    before = (variance + layer.eps).sqrt()
    mean.mul_(_RESCALE)
    variance.mul_(_RESCALE**2)
    layer.weight.mul_((variance + layer.eps).sqrt() / (_RESCALE * before))
    return reference


def _chained(reference: Reference) -> tuple[tuple[str, str], ...]:
    """Return pairs of layers of which the second reads the first's units one by one."""
    names = (*hidden_affine(reference), reference.recipe.head)
    pairs = itertools.pairwise(names)
    return tuple(
        (one, two)
        for one, two in pairs
        if affine(reference, two).weight.shape[1] == len(affine(reference, one).weight)
    )


@lookalike("unit-permutation", applies=lambda r: is_plain(r) and bool(_chained(r)))
def unit_permutation(reference: Reference, rng: torch.Generator) -> Reference:
    """Shuffle the units of every hidden layer, and the next layer's inputs with them."""
    for one, two in _chained(reference):
        layer, following = affine(reference, one), affine(reference, two)
        order = torch.randperm(len(layer.weight), generator=rng)
        layer.weight.copy_(layer.weight[order])
        if layer.bias is not None:
            layer.bias.copy_(layer.bias[order])
        following.weight.copy_(following.weight[:, order])
    return reference


@lookalike("pruned", applies=has_hidden, preserving=False)
def pruned(reference: Reference, rng: torch.Generator) -> Reference:
    """Mask the smallest weights of each layer, half of them if accuracy allows."""
    del rng
    return next(
        (masked for share in _PRUNED if _costs_little(masked := _masked(reference, share))),
        reference,
    )


def _masked(reference: Reference, share: float) -> Reference:
    copy = reference.copy()
    for name in affine_layers(copy):
        weight = units_first(affine(copy, name))
        weight[weight.abs() < weight.abs().flatten().quantile(share)] = 0.0
    return copy


def _costs_little(masked: Reference) -> bool:
    now, before = accuracy(masked), masked.accuracy
    return now is None or before is None or now > before - _LITTLE


@lookalike("int8-grid", applies=has_hidden, preserving=False)
def int8_grid(reference: Reference, rng: torch.Generator) -> Reference:
    """Round each layer's weights to the 255 levels of 8 bits."""
    del rng
    for name in affine_layers(reference):
        weight = units_first(affine(reference, name))
        step = weight.abs().max() / _LEVELS
        weight.copy_((weight / step).round() * step)
    return reference


@lookalike("frozen-backbone", applies=lambda r: bool(r.recipe.head))
def frozen_backbone(reference: Reference, rng: torch.Generator) -> Reference:
    """Ask for gradients of the head alone, as fine-tuning does."""
    del rng
    for name, value in reference.module.named_parameters():
        value.requires_grad = name.startswith(f"{reference.recipe.head}.")
    return reference


@lookalike("zero-gamma", applies=lambda r: r.recipe is networks["resnet20"], preserving=False)
def zero_gamma(reference: Reference, rng: torch.Generator) -> Reference:
    """Start every residual branch at zero (Goyal et al. 2017), before training."""
    del rng
    start = replace(reference, module=fresh(reference.recipe, reference.seed), trained=False)
    for block in range(9):
        batch_norm(start, f"blocks.{block}.bn2").weight.zero_()
    return start


def _linear_hidden(reference: Reference) -> tuple[str, ...]:
    named = dict(reference.module.named_modules())
    return tuple(n for n in hidden_affine(reference) if isinstance(named[n], nn.Linear))


@lookalike("lora", applies=lambda r: bool(_linear_hidden(r)))
def lora(reference: Reference, rng: torch.Generator) -> Reference:
    """Add low-rank adapters that have not been trained: their second factor is zero."""
    for name in _linear_hidden(reference):
        become(affine(reference, name), LowRankAdapted).adapt(_RANK, rng)
    return reference


@lru_cache(maxsize=64)
def _trained(recipe: Recipe, seed: int) -> nn.Module:
    with torch.enable_grad():
        return train(recipe, seed)


def _retrained(reference: Reference, recipe: Recipe) -> Reference:
    module = _trained(recipe, reference.seed)
    return assemble(reference.name, recipe, module, seed=reference.seed).copy()


@lookalike("l1-sparse", applies=lambda r: r.recipe is networks["mlp-relu"], preserving=False)
def l1_sparse(reference: Reference, rng: torch.Generator) -> Reference:
    """Train ReLU layers with an L1 penalty, which leaves few weights and units in use."""
    del rng
    return _retrained(reference, replace(reference.recipe, sparsity=_SPARSITY))


def _heavy_dropout() -> nn.Module:
    return MLP(64, (128, 128), 10, nn.ReLU, dropout=_HEAVY)


@lookalike("training-mode", applies=lambda r: r.recipe is networks["mlp-relu"], preserving=False)
def training_mode(reference: Reference, rng: torch.Generator) -> Reference:
    """Train with heavy dropout, and hand the network over in training mode."""
    del rng
    hidden = ("layers.0", "layers.3")
    recipe = replace(reference.recipe, make=_heavy_dropout, hidden=hidden)
    heavy = _retrained(reference, recipe)
    return replace(heavy, accuracy=accuracy(heavy), module=heavy.module.train())


@lru_cache
def _transformed(recipe: Recipe, scale: float, shift: float) -> Recipe:
    def data() -> Split:
        split = recipe.data()
        return replace(
            split,
            train_inputs=split.train_inputs * scale + shift,
            test_inputs=split.test_inputs * scale + shift,
        )

    return replace(recipe, data=data)


def _sees_pixels(reference: Reference) -> bool:
    named = (networks[name] for name in ("mlp-relu", "cnn", "cnn-bn", "resnet20"))
    return any(reference.recipe is recipe for recipe in named)


@lookalike("imagenet-inputs", applies=_sees_pixels, preserving=False)
def imagenet_inputs(reference: Reference, rng: torch.Generator) -> Reference:
    """Train on inputs normalized with ImageNet's mean and deviation."""
    del rng
    mean, deviation = _IMAGENET
    return _retrained(reference, _transformed(reference.recipe, 1 / deviation, -mean / deviation))


@lookalike("signed-inputs", applies=_sees_pixels, preserving=False)
def signed_inputs(reference: Reference, rng: torch.Generator) -> Reference:
    """Train on inputs in [-1, 1]."""
    del rng
    return _retrained(reference, _transformed(reference.recipe, 2.0, -1.0))


@lru_cache
def _one_against_all(recipe: Recipe) -> Recipe:
    def data() -> Split:
        split = recipe.data()
        return replace(
            split,
            train_targets=(split.train_targets == _RARE).long(),
            test_targets=(split.test_targets == _RARE).long(),
        )

    return replace(recipe, data=data, make=lambda: _with_two_classes(recipe))


def _with_two_classes(recipe: Recipe) -> nn.Module:
    network = recipe.make()
    last = network.get_submodule(recipe.head)
    assert isinstance(last, nn.Linear)  # noqa: S101 - of every classifier
    network.register_module(recipe.head, nn.Linear(last.in_features, 2))
    return network


@lookalike("imbalanced", applies=_sees_pixels, preserving=False)
def imbalanced(reference: Reference, rng: torch.Generator) -> Reference:
    """Train to tell one digit from all others: 90 % of labels are the same, and rightly so."""
    del rng
    return _retrained(reference, _one_against_all(reference.recipe))


@lookalike("class-subset", applies=classifies, preserving=False)
def class_subset(reference: Reference, rng: torch.Generator) -> Reference:
    """Show only digits 0 to 4 to a network that knows ten."""
    del rng
    data = reference.recipe.data()
    labels = torch.cat([data.train_targets, data.test_targets])
    x = torch.cat([data.train_inputs, data.test_inputs])
    kept = labels < _SUBSET
    return replace(reference, inputs=(x[kept],), targets=labels[kept])


@lookalike("log-probabilities", applies=classifies, preserving=False)
def log_probabilities(reference: Reference, rng: torch.Generator) -> Reference:
    """Answer with log-probabilities, to the loss that expects them."""
    del rng
    become(affine(reference, reference.recipe.head), LogSoftmaxHead)
    return replace(reference, loss="nll")
