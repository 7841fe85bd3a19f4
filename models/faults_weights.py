"""Faults of weights, fresh and trained: INI001 to INI003, WGT001 to WGT003."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from dnnrepair.models.faults import (
    ACTIVITY,
    DAMAGE,
    GRADIENT,
    Strength,
    fault,
    has_hidden,
    is_plain,
)
from dnnrepair.models.measuring import (
    affine,
    affine_layers,
    by_unit,
    fan_in,
    hidden_affine,
    outputs,
    pick,
    slope,
    solve,
    units_first,
)
from dnnrepair.models.recipe import fresh

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.models.reference import Reference

_MIN_SIDE = 16  # a narrower matrix has no rank to lose
_MIN_EIGENVALUES = 50  # for a spectrum
_SPIKES = 5
_CONSTANT = 0.05
_GAIN_LIMITS = (1e-4, 1e2)  # of INI002, for the product over depth


def _targets(reference: Reference) -> tuple[Tensor, ...]:
    """Return the weights ``(units, ...)`` whose symmetry or zeros nothing excuses."""
    module = reference.module
    named = module.named_parameters()
    recurrent = [p.detach() for name, p in named if ".weight_hh_" in name]
    return (*(units_first(affine(reference, n)) for n in hidden_affine(reference)), *recurrent)


def _has_targets(reference: Reference) -> bool:
    return has_hidden(reference) or "recurrent" in reference.recipe.traits


def _one_target(reference: Reference, rng: torch.Generator) -> Tensor:
    found = _targets(reference)
    return found[int(torch.randint(len(found), (), generator=rng))]


@fault("zero-weights", "INI001", applies=_has_targets, may=DAMAGE | {"INI002", "WGT002"})
def zero_weights(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Scale a layer's weights to std 7e-9, or make one or all layers zero."""
    one = _one_target(reference, rng)
    if strength is Strength.WEAK:
        one *= 1e-8 / 1.5 / one.std()
        return reference
    for weight in strength.choose((), (one,), _targets(reference)):
        weight.zero_()
    return reference


@fault("constant-weights", "INI001", applies=_has_targets, may=DAMAGE | {"INI002", "WGT002"})
def constant_weights(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Make all weights of one layer, half or all layers the same."""
    found = _targets(reference)
    count = strength.choose(1, (len(found) + 1) // 2, len(found))
    for place in torch.randperm(len(found), generator=rng)[:count]:
        found[int(place)].fill_(_CONSTANT)
    return reference


@fault("equal-rows", "INI001", applies=_has_targets, may=DAMAGE | {"WGT002"})
def equal_rows(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Give 75 %, 90 % or all pairs of units in a layer the same weights and bias."""
    layers = hidden_affine(reference)
    share = strength.choose(0.75, 0.9, 1.0) ** 0.5
    if not layers:
        return _equal_gates(reference, share)
    layer = affine(reference, pick(layers, rng))
    weight = units_first(layer)
    equal = torch.randperm(len(weight), generator=rng)[: -int(-share * len(weight) // 1)]
    weight[equal] = weight[equal[0]].clone()
    if layer.bias is not None:
        layer.bias[equal] = layer.bias[equal[0]].clone()
    return reference


def _equal_gates(reference: Reference, share: float) -> Reference:
    """Give a share of the units of a recurrent layer the same weights and biases in every gate."""
    for layer in reference.module.modules():
        if isinstance(layer, nn.RNNBase):
            for value in layer.parameters():
                gates = value.detach().unflatten(0, (-1, layer.hidden_size))
                gates[:, : -int(-share * layer.hidden_size // 1)] = gates[:, :1].clone()
    return reference


def _fresh(reference: Reference) -> Reference:
    """Return the same network before training."""
    module = fresh(reference.recipe, reference.seed)
    return replace(reference, module=module, trained=False, accuracy=None)


def gain_over_depth(reference: Reference, factor: float = 1.0) -> float:
    """Return the product of fan_in Var(W) E[phi'(z)^2] over the hidden layers, weights scaled.

    Poole et al. 2016, eq. 5: by how much the squared gradient grows from layer to layer.
    """
    scaled = reference.copy()
    for name in hidden_affine(scaled):
        units_first(affine(scaled, name)).mul_(factor)
    z = outputs(scaled, reference.recipe.hidden)
    product = 1.0
    for name, hidden in zip(hidden_affine(scaled), reference.recipe.hidden, strict=True):
        weight = units_first(affine(scaled, name))
        passed = slope(reference.recipe.activation, z[hidden]).square().mean()
        product *= float(fan_in(weight) * weight.var() * passed)
    return product


def _rescaled(reference: Reference, factor: float) -> Reference:
    for name in hidden_affine(reference):
        units_first(affine(reference, name)).mul_(factor)
    return reference


def _starts_wide(reference: Reference) -> bool:
    """Leave out sigmoid networks: their gain is below the limit from the start."""
    return is_plain(reference) and reference.recipe.activation != "sigmoid"


@fault("init-small", "INI002", applies=_starts_wide)
def init_small(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Draw initial weights too small: gain over depth 1.5 times under the limit; x 0.2; x 0.05."""
    del rng
    start = _fresh(reference)
    limit = _GAIN_LIMITS[0]
    weak = solve(partial(gain_over_depth, start), limit / 1.5, 1e-3, 1.0)
    return _rescaled(start, strength.choose(weak, min(0.2, weak / 2), min(0.05, weak / 4)))


def _unbounded(reference: Reference) -> bool:
    return is_plain(reference) and reference.recipe.activation not in ("tanh", "sigmoid")


@fault("init-large", "INI002", applies=_unbounded)
def init_large(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Draw initial weights too large: gain over depth 1.5, 100 or 1e4 times over the limit."""
    del rng
    start = _fresh(reference)
    target = _GAIN_LIMITS[1] * strength.choose(1.5, 100.0, 1e4)
    return _rescaled(start, solve(partial(gain_over_depth, start), target, 1.0, 1e3))


def _is_deep(reference: Reference) -> bool:
    return "deep" in reference.recipe.traits


@fault(
    "mismatched-init",
    "INI003",
    applies=_is_deep,
    may=ACTIVITY | GRADIENT | {"INI002"},
    graded=False,
)
def mismatched_init(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Draw ReLU layers as for tanh (Glorot), tanh layers as for ReLU (He), at depth 8."""
    del strength
    start = _fresh(reference)
    for name in affine_layers(start):
        weight = units_first(affine(start, name))
        if reference.recipe.activation == "relu":
            nn.init.xavier_uniform_(weight, generator=rng)
        else:
            nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=rng)
    return start


@fault("he-on-selu", "INI003", applies=_is_deep, may=ACTIVITY | GRADIENT | {"INI002"}, graded=False)
def he_on_selu(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Put SELU, which needs LeCun's initializer, behind layers drawn as He et al. do."""
    del strength
    start = _fresh(reference)
    for parent in start.module.modules():
        for name, child in parent.named_children():
            if isinstance(child, nn.ReLU | nn.Tanh):
                parent.register_module(name, nn.SELU())
    for name in affine_layers(start):
        weight = units_first(affine(start, name))
        nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=rng)
    return start


@fault("duplicate-units", "WGT001", applies=has_hidden, may=DAMAGE | {"INI001", "WGT002"})
def duplicate_units(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Make 7.5 %, 15 % or 30 % of a layer's units copies of the ones that vary most."""
    name = pick(hidden_affine(reference), rng)
    layer, weight = affine(reference, name), units_first(affine(reference, name))
    order = by_unit(outputs(reference, [name])[name]).std(dim=0).argsort(descending=True)
    count = max(1, -int(-strength.choose(0.075, 0.15, 0.3) * len(weight) // 1))
    source, copy = order[:count], order[-count:]
    weight[copy] = weight[source]
    if layer.bias is not None:
        layer.bias[copy] = layer.bias[source]
    return reference


def _wide(reference: Reference, least: int) -> tuple[str, ...]:
    """Return the layers whose weights have both sides of at least this many."""
    found = {name: units_first(affine(reference, name)) for name in hidden_affine(reference)}
    return tuple(n for n, weight in found.items() if min(weight.flatten(1).shape) >= least)


def _has_rank(reference: Reference) -> bool:
    return bool(_wide(reference, _MIN_SIDE))


def with_spectrum(weight: Tensor, change: Tensor) -> None:
    """Multiply the singular values of ``(units, ...)`` weights by ``change``, in place."""
    u, s, v = torch.linalg.svd(weight.flatten(1).double(), full_matrices=False)
    weight.copy_((u @ torch.diag(s * change) @ v).to(weight.dtype).view(weight.shape))


@fault("rank-one", "WGT002", applies=_has_rank, may=DAMAGE | {"INI001"})
def rank_one(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Shrink all singular values but the first: stable rank 1.33, 1.1 or 1."""
    weight = units_first(affine(reference, pick(_wide(reference, _MIN_SIDE), rng)))
    values = torch.linalg.svdvals(weight.flatten(1).double())
    rank = float(values.square().sum() / values[0] ** 2)
    change = torch.full_like(values, ((strength.choose(1.33, 1.1, 1.0) - 1) / (rank - 1)) ** 0.5)
    change[0] = 1.0
    with_spectrum(weight, change)
    return reference


@fault("low-rank", "WGT002", applies=_has_rank, may=DAMAGE)
def low_rank(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Make 75 %, 85 % or 95 % of a layer's singular values zero."""
    weight = units_first(affine(reference, pick(_wide(reference, _MIN_SIDE), rng)))
    side = min(weight.flatten(1).shape)
    change = (torch.arange(side) < side * strength.choose(0.25, 0.15, 0.05)).double()
    with_spectrum(weight, change)
    return reference


@fault("spectral-spikes", "WGT003", applies=lambda r: bool(_wide(r, _MIN_EIGENVALUES)))
def spectral_spikes(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Add five rank-1 spikes beyond the edge that Marchenko and Pastur give for noise."""
    weight = units_first(affine(reference, pick(_wide(reference, _MIN_EIGENVALUES), rng)))
    rows, columns = weight.flatten(1).shape
    edge = float(weight.std()) * (rows**0.5 + columns**0.5)
    left = torch.linalg.qr(torch.randn(rows, _SPIKES, generator=rng))[0]
    right = torch.linalg.qr(torch.randn(columns, _SPIKES, generator=rng))[0]
    spikes = edge * strength.choose(1.5, 3.0, 10.0) * left @ right.T
    weight += spikes.view(weight.shape)
    return reference
