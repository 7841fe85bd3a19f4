"""Faults of activations: ACT001 to ACT003, ACT005 to ACT007."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dnnrepair.models.faults import DAMAGE, Strength, fault, has_hidden, is_plain
from dnnrepair.models.faults_weights import with_spectrum
from dnnrepair.models.measuring import (
    affine,
    by_unit,
    fan_in,
    hidden_affine,
    outputs,
    pick,
    slope,
    solve,
    some,
    units_first,
)

if TYPE_CHECKING:
    from dnnrepair.models.reference import Reference

_RELU = ("relu",)
_COMA = {"leaky": 0.0, "elu": 0.0, "gelu": -3.0, "silu": -3.0}  # below: in coma
_BOUNDED = ("tanh", "sigmoid")
_FLAT_SLOPE = 0.05  # of the steepest
_FLAT_SHARE = 0.95  # of samples
_BEYOND = 1.01  # a step past the point where the last unit is just flat
_MIN_WIDTH = 5  # for a covariance


def _activated(*names: str) -> partial[bool]:
    return partial(_has_activation, names)


def _has_activation(names: tuple[str, ...], reference: Reference) -> bool:
    return has_hidden(reference) and reference.recipe.activation in names


def preactivation(reference: Reference, name: str) -> Tensor:
    """Return what enters the activation behind a layer, ``(rows, units)``."""
    return by_unit(outputs(reference, [name])[name])


def _bias(reference: Reference, name: str) -> Tensor:
    bias = reference.module.get_submodule(name).bias
    assert isinstance(bias, Tensor)  # noqa: S101 - of every hidden layer
    return bias.detach()


def _sink(
    reference: Reference, strength: Strength, rng: torch.Generator, ceiling: float
) -> Reference:
    """Shift 75 %, 85 % or 95 % of a layer's units below ``ceiling`` on all samples."""
    name = pick(reference.recipe.hidden, rng)
    z = preactivation(reference, name)
    units = some(z.shape[1], strength.choose(0.75, 0.85, 0.95), rng)
    margin = strength.choose(0.05, 1.0, 200.0) * z.std(dim=0) + 1e-3
    bias = _bias(reference, name)
    bias[units] -= (z.amax(dim=0) - ceiling + margin)[units].clamp_min(0)
    return reference


@fault("dead-units", "ACT001", applies=_activated(*_RELU))
def dead_units(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Lower the bias of ReLU units until no sample switches them on."""
    return _sink(reference, strength, rng, 0.0)


@fault("coma-units", "ACT002", applies=_activated(*_COMA))
def coma_units(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Lower the bias of soft units until every sample finds them at rest."""
    return _sink(reference, strength, rng, _COMA[reference.recipe.activation])


def flat_share(reference: Reference, name: str, factor: float = 1.0) -> float:
    """Return the share of units that are flat on 95 % of samples, weights and bias scaled."""
    z = factor * preactivation(reference, name)
    activation = reference.recipe.activation
    steepest = float(slope(activation, torch.zeros(1)))
    flat = (slope(activation, z) < _FLAT_SLOPE * steepest).double().mean(dim=0)
    return float((flat >= _FLAT_SHARE).double().mean())


@fault("saturated-units", "ACT003", applies=_activated(*_BOUNDED))
def saturated_units(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Scale weights and bias of a hidden layer until 37.5 %, 60 % or 90 % of units are flat."""
    name = pick(reference.recipe.hidden[1:], rng)
    share = strength.choose(0.375, 0.6, 0.9)
    factor = _BEYOND * solve(partial(flat_share, reference, name), share, 1.0, 1e4)
    layer = affine(reference, name)
    layer.weight.mul_(factor)
    _bias(reference, name).mul_(factor)
    return reference


def _scaled(reference: Reference, name: str, deviation: float) -> None:
    """Scale a layer so that what it puts out has this standard deviation."""
    factor = deviation / float(preactivation(reference, name).std())
    affine(reference, name).weight.mul_(factor)
    _bias(reference, name).mul_(factor)


@fault("loud-layer", "ACT005", applies=is_plain, may=DAMAGE | {"INI002"})
def loud_layer(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Scale a layer until its pre-activations have a standard deviation of 150, 500 or 5000."""
    name = pick(reference.recipe.hidden, rng)
    _scaled(reference, name, strength.choose(150.0, 500.0, 5000.0))
    return reference


@fault(
    "growing-scale",
    "ACT005",
    applies=lambda r: "deep" in r.recipe.traits and r.recipe.activation == "relu",
)
def growing_scale(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Let the scale of pre-activations grow 2.8, 3.5 or 5-fold from layer to layer."""
    del rng
    first, *rest = reference.recipe.hidden
    deviation = float(preactivation(reference, first).std())
    for name in rest:
        deviation *= strength.choose(math.exp(1.5 * math.log(2)), 3.5, 5.0)
        _scaled(reference, name, deviation)
    return reference


@fault("mean-shift", "ACT006", applies=has_hidden)
def mean_shift(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Raise biases until the mean of a unit is 7.5, 12 or 20 times its standard deviation."""
    name = pick(reference.recipe.hidden, rng)
    z = preactivation(reference, name)
    _bias(reference, name).add_(strength.choose(7.5, 12.0, 20.0) * z.std(dim=0) - z.mean(dim=0))
    return reference


def top_share(z: Tensor) -> float:
    """Return the share of the variance of ``(rows, units)`` along its main direction."""
    eigenvalues = torch.linalg.eigvalsh(torch.cov(z.double().T))
    return float(eigenvalues[-1] / eigenvalues.sum())


def _collapsible(reference: Reference) -> tuple[str, ...]:
    """Return the hidden layers that are affine themselves and wide enough."""
    wide = [n for n in hidden_affine(reference) if n in reference.recipe.hidden]
    sizes = {name: units_first(affine(reference, name)) for name in wide}
    return tuple(n for n, w in sizes.items() if min(len(w), fan_in(w)) >= _MIN_WIDTH)


@fault(
    "rank-collapse",
    "ACT007",
    "WGT002",  # the layer's weights are where it lies
    applies=lambda r: bool(_collapsible(r)),
    may=DAMAGE | {"INI001"},
)
def rank_collapse(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Shrink all directions but one of a layer: 96.7 %, 98.5 % or all variance along one."""
    name = pick(_collapsible(reference), rng)
    share = strength.choose(1 - 0.05 / 1.5, 0.985, 1.0)

    def shrunk(factor: float) -> Reference:
        copy = reference.copy()
        weight = units_first(affine(copy, name))
        change = torch.full((min(weight.flatten(1).shape),), factor, dtype=torch.double)
        change[0] = 1.0
        with_spectrum(weight, change)
        return copy

    def measured(factor: float) -> float:
        return top_share(preactivation(shrunk(factor), name))

    lost = 1.0
    return shrunk(0.0 if share == lost else solve(measured, share, 1e-4, 1.0))
