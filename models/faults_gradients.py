"""Faults of gradients: GRD001 to GRD004."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from dnnrepair.models.faults import DAMAGE, Strength, classifies, fault, has_hidden, is_plain
from dnnrepair.models.measuring import (
    affine,
    affine_layers,
    hidden_affine,
    solve,
    weight_gradients,
)
from dnnrepair.models.recipe import seeded
from dnnrepair.models.structures import DetachedConv2d, DetachedLinear, become

if TYPE_CHECKING:
    import torch

    from dnnrepair.models.reference import Reference

_HOMOGENEOUS = ("relu", "leaky")  # scale passes through them


def first_over_last(reference: Reference) -> float:
    """Return the gradient norm of the first weight matrix over that of the last."""
    gradients = [float(g.norm()) for g, _ in weight_gradients(reference).values()]
    return gradients[0] / gradients[-1] if gradients[-1] else 0.0


def speeds(reference: Reference) -> list[float]:
    """Return gradient norm over weight norm of each weight matrix, in order of execution."""
    return [float(g.norm() / w.norm()) for g, w in weight_gradients(reference).values()]


def speed_spread(reference: Reference) -> float:
    """Return the fastest layer's speed over the slowest's."""
    found = [speed for speed in speeds(reference) if speed]
    return max(found) / min(found)


def _with_weights(reference: Reference, factor: float) -> Reference:
    copy = reference.copy()
    for name in affine_layers(copy):
        affine(copy, name).weight.detach().mul_(factor)
    return copy


@fault("vanishing-gradient", "GRD001", applies=is_plain, may=DAMAGE | {"INI001", "INI002"})
def vanishing_gradient(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Shrink all weights but the head's: first over last gradient norm 7e-4, 1e-4 or 1e-5."""
    del rng
    target = strength.choose(1e-3 / 1.5, 1e-4, 1e-5)
    factor = solve(lambda f: first_over_last(_with_weights(reference, f)), target, 1e-5, 1.0)
    return _with_weights(reference, factor)


def _explodes(reference: Reference) -> bool:
    return is_plain(reference) and reference.recipe.activation not in ("tanh", "sigmoid")


@fault("exploding-gradient", "GRD002", applies=_explodes, may=DAMAGE | {"INI002"})
def exploding_gradient(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Enlarge all weights but the head's: gradient norm 150, 1e3 or 1e4 times the weights'."""
    del rng
    target = strength.choose(150.0, 1e3, 1e4)
    factor = solve(lambda f: max(speeds(_with_weights(reference, f))), target, 1.0, 1e4)
    return _with_weights(reference, factor)


def _scales_through(reference: Reference) -> bool:
    return is_plain(reference) and reference.recipe.activation in _HOMOGENEOUS


def _unbalanced(reference: Reference, place: int, factor: float) -> Reference:
    copy = reference.copy()
    names = (*affine_layers(copy), copy.recipe.head)
    layer, following = affine(copy, names[place]), affine(copy, names[place + 1])
    layer.weight.detach().mul_(factor)
    if layer.bias is not None:
        layer.bias.detach().mul_(factor)
    following.weight.detach().div_(factor)
    return copy


@fault("uneven-speed", "GRD003", applies=_scales_through)
def uneven_speed(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Shrink a middle layer and enlarge the next: the same function, learning speeds 1.5e3 apart.

    Medium 1e4, strong 1e5.
    """
    del rng
    place = len(affine_layers(reference)) // 2
    target = strength.choose(1.5e3, 1e4, 1e5)
    factor = solve(lambda f: speed_spread(_unbalanced(reference, place, f)), target, 1e-4, 1.0)
    return _unbalanced(reference, place, factor)


def _detachable(reference: Reference) -> bool:
    return has_hidden(reference) and len(hidden_affine(reference)) > 1 and classifies(reference)


@fault("detached", "GRD004", applies=_detachable, may=frozenset(), graded=False)
def detached(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Cut the graph before the second hidden layer with ``.detach()``."""
    del strength, rng
    layer = affine(reference, hidden_affine(reference)[1])
    become(layer, DetachedConv2d if isinstance(layer, nn.Conv2d) else DetachedLinear)
    return reference


@fault("unused-layer", "GRD004", applies=classifies, may=frozenset(), graded=False)
def unused_layer(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Define a layer and forget to call it."""
    del strength, rng
    with seeded(reference.seed):
        reference.module.add_module("forgotten", nn.Linear(16, 16))
    return reference
