"""Faults that training itself produces; nobody edits a weight."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from dnnrepair.models.building import assemble
from dnnrepair.models.faults import Strength, classifies, fault
from dnnrepair.models.measuring import BATCH_NORM, batch_norms
from dnnrepair.models.mlp import MLP
from dnnrepair.models.recipe import Recipe, networks, train

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from dnnrepair.models.reference import Reference

_WRONG = 0.6  # share of labels drawn anew
_ANSWER = 3
_DEEP = 10  # layers
_MOMENTUM = 1e-4
_KEPT = 64


@lru_cache(maxsize=_KEPT)
def _trained(recipe: Recipe, seed: int) -> nn.Module:
    with torch.enable_grad():
        return train(recipe, seed)


def _retrained(reference: Reference, recipe: Recipe) -> Reference:
    """Return the outcome of another recipe for the same network."""
    module = _trained(recipe, reference.seed)
    return assemble(reference.name, recipe, module, seed=reference.seed).copy()


def _has(*names: str) -> Callable[[Reference], bool]:
    def applies(reference: Reference) -> bool:
        return any(reference.recipe is networks[name] for name in names)

    return applies


@fault("adam-too-fast", "ACT001", applies=_has("mlp-relu", "cnn"), natural=True, graded=False)
def adam_too_fast(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Train with Adam at a learning rate of 0.1."""
    del strength, rng
    return _retrained(reference, replace(reference.recipe, learning_rate=0.1))


@fault(
    "sgd-too-fast",
    "NUM001",  # where the weights overflow
    "ACT001",  # where they only throw all units out of reach
    applies=_has("mlp-leaky", "tabular", "regressor"),
    natural=True,
    graded=False,
)
def sgd_too_fast(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Train with SGD at a hundred times the usual learning rate of 0.1."""
    del strength, rng
    recipe = replace(reference.recipe, optimizer="sgd", learning_rate=10.0, epochs=5)
    return _retrained(reference, recipe)


def _noisy(labels: Tensor, rng: torch.Generator) -> Tensor:
    drawn = torch.randint(int(labels.max()) + 1, labels.shape, generator=rng)
    return torch.where(torch.rand(len(labels), generator=rng) < _WRONG, drawn, labels)


@fault(
    "label-noise", "OUT003", applies=_has("mlp-relu", "mlp-gelu", "cnn"), natural=True, graded=False
)
def label_noise(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Train for 150 epochs on labels of which 60 % were drawn anew."""
    del strength, rng
    recipe = replace(reference.recipe, relabel=_noisy, epochs=150, learning_rate=1e-2)
    return _retrained(reference, recipe)


def _constant(labels: Tensor, rng: torch.Generator) -> Tensor:
    del rng
    return torch.full_like(labels, _ANSWER)


@fault("constant-labels", "OUT002", applies=classifies, natural=True, graded=False)
def constant_labels(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Train on labels that a broken pipeline has made all the same."""
    del strength, rng
    return _retrained(reference, replace(reference.recipe, relabel=_constant, epochs=5))


@fault("deep-sigmoid", "GRD001", applies=_has("mlp-sigmoid"), natural=True, graded=False)
def deep_sigmoid(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Train ten sigmoid layers, which do not learn."""
    del strength, rng
    recipe = replace(
        reference.recipe,
        make=_ten_sigmoids,
        hidden=tuple(f"layers.{2 * place}" for place in range(_DEEP)),
        traits=reference.recipe.traits | {"deep"},
        epochs=10,
    )
    return _retrained(reference, recipe)


def _ten_sigmoids() -> nn.Module:
    return MLP(64, (64,) * _DEEP, 10, nn.Sigmoid)


@fault(
    "frozen-statistics",
    "BN002",
    applies=lambda r: bool(batch_norms(r)) and classifies(r),
    natural=True,
    graded=False,
)
def frozen_statistics(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Train with a momentum of 1e-4, so that running statistics never arrive."""
    del strength, rng
    recipe = replace(reference.recipe, make=_slow(reference.recipe))
    return _retrained(reference, recipe)


@lru_cache
def _slow(recipe: Recipe) -> Callable[[], nn.Module]:
    return partial(_with_momentum, recipe.make, _MOMENTUM)


def _with_momentum(make: Callable[[], nn.Module], momentum: float) -> nn.Module:
    network = make()
    for layer in network.modules():
        if isinstance(layer, BATCH_NORM):
            layer.momentum = momentum
    return network
