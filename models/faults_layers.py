"""Faults of normalization and residual branches: BN001 to BN005, LN001, RES001."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from dnnrepair.models.building import accuracy
from dnnrepair.models.faults import DAMAGE, OUTPUT, Strength, classifies, fault
from dnnrepair.models.measuring import (
    batch_norm,
    batch_norms,
    by_unit,
    inputs,
    layer_norms,
    outputs,
    pick,
    solve,
)

if TYPE_CHECKING:
    from dnnrepair.models.reference import Reference

_BATCH = 128
_AFTER_STATISTICS = DAMAGE - {"BN002"}


def _has_batch_norm(reference: Reference) -> bool:
    return bool(batch_norms(reference))


def statistics(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return a layer's running mean and variance, ``(channels,)`` each."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None  # noqa: S101 - reference networks track statistics
    assert variance is not None  # noqa: S101
    return mean, variance


@fault("reset-statistics", "BN001", applies=_has_batch_norm, may=DAMAGE)
def reset_statistics(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Forget the running statistics of one, half or all batch normalizations."""
    names = batch_norms(reference)
    count = strength.choose(1, (len(names) + 1) // 2, len(names))
    for place in torch.randperm(len(names), generator=rng)[:count]:
        batch_norm(reference, names[int(place)]).reset_running_stats()
    return reference


@fault("stale-mean", "BN002", applies=_has_batch_norm, may=_AFTER_STATISTICS)
def stale_mean(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Shift the running means of a layer: divergence 0.15, 1.5 or (3 deviations) 4.5."""
    mean, variance = statistics(batch_norm(reference, pick(batch_norms(reference), rng)))
    mean += variance.sqrt() * math.sqrt(2 * strength.choose(0.15, 1.5, 4.5))
    return reference


@fault("stale-variance", "BN002", applies=_has_batch_norm, may=_AFTER_STATISTICS)
def stale_variance(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Enlarge the running variances of a layer: divergence 0.15, 1.1 or 1.8."""
    _, variance = statistics(batch_norm(reference, pick(batch_norms(reference), rng)))
    variance *= strength.choose(2.3, 25.0, 100.0)
    return reference


@fault("tiny-variance", "BN003", applies=_has_batch_norm)
def tiny_variance(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Give one channel a running variance far below the median's (strong: 1e-9)."""
    _, variance = statistics(batch_norm(reference, pick(batch_norms(reference), rng)))
    least = min(float(variance.median()), 1.0) * 1e-3
    variance[0] = strength.choose(least / 1.5, least / 30, 1e-9)
    return reference


@fault("huge-scale", "BN003", applies=_has_batch_norm)
def huge_scale(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Give one channel a scale of 45, 150 or 500 running deviations."""
    norm = batch_norm(reference, pick(batch_norms(reference), rng))
    _, variance = statistics(norm)
    deviation = float((variance[0] + norm.eps).sqrt())
    norm.weight[0] = deviation * strength.choose(45.0, 150.0, 500.0)
    return reference


def _with_shifted_means(reference: Reference, deviations: float) -> Reference:
    copy = reference.copy()
    for name in batch_norms(copy):
        mean, variance = statistics(batch_norm(copy, name))
        mean += deviations * variance.sqrt()
    return copy


def _training_accuracy(reference: Reference) -> float:
    """Return the accuracy with batch statistics; running ones are not touched."""
    copy = reference.copy()
    for name in batch_norms(copy):
        batch_norm(copy, name).train()
    right = 0
    assert reference.targets is not None  # noqa: S101 - applies to classifiers
    for x, y in zip(
        reference.inputs[0].split(_BATCH), reference.targets.split(_BATCH), strict=True
    ):
        right += int((copy.module(x).argmax(dim=-1) == y).sum())
    return right / len(reference.targets)


@fault(
    "mode-gap",
    "BN004",
    applies=lambda r: _has_batch_norm(r) and classifies(r),
    may=DAMAGE,
)
def mode_gap(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Shift all running means until evaluation is 7.5, 20 or 40 points worse than training."""
    del rng
    right = _training_accuracy(reference)

    def gap(deviations: float) -> float:
        return right - (accuracy(_with_shifted_means(reference, deviations)) or 0.0)

    return _with_shifted_means(reference, solve(gap, strength.choose(0.075, 0.2, 0.4), 1e-2, 10.0))


@fault(
    "drifting-batches",
    "BN005",
    applies=lambda r: _has_batch_norm(r) and classifies(r),
    may=OUTPUT | DAMAGE,
)
def drifting_batches(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Let images darken from batch to batch, as along a day."""
    del rng
    (x,) = reference.inputs
    batch = torch.arange(len(x)) // _BATCH
    light = strength.choose(1.4, 1.7, 2.5) ** -batch.float()
    return replace(reference, inputs=(x * light.view(-1, *(1,) * (x.dim() - 1)),))


def _has_layer_norm(reference: Reference) -> bool:
    return bool(layer_norms(reference))


def _one_layer_norm(reference: Reference, rng: torch.Generator) -> tuple[str, nn.LayerNorm]:
    name = pick(layer_norms(reference), rng)
    norm = reference.module.get_submodule(name)
    assert isinstance(norm, nn.LayerNorm)  # noqa: S101 - just listed
    return name, norm


@fault("huge-layer-scale", "LN001", applies=_has_layer_norm)
def huge_layer_scale(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Give one feature a scale of 45, 150 or 500 times the median one."""
    _, norm = _one_layer_norm(reference, rng)
    norm.weight[0] = norm.weight.abs().median() * strength.choose(45.0, 150.0, 500.0)
    return reference


@fault(
    "faint-layer-input",
    "LN001",
    applies=lambda r: r.name.startswith("layernorm-mlp"),
)
def faint_layer_input(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Scale what enters a layer normalization down until its variance is near eps."""
    name, norm = _one_layer_norm(reference, rng)
    given = inputs(reference, [name])[name]
    variance = float(given.var(dim=-1, correction=0).quantile(0.9))
    factor = math.sqrt(10 * norm.eps / strength.choose(1.5, 10.0, 1000.0) / variance)
    before = reference.module.get_submodule(f"layers.{int(name.rpartition('.')[2]) - 1}")
    assert isinstance(before, nn.Linear)  # noqa: S101 - the network is built so
    before.weight.mul_(factor)
    before.bias.mul_(factor)
    return reference


def _has_branches(reference: Reference) -> bool:
    return bool(reference.recipe.branches)


def branch_ratio(reference: Reference, end: str, block: str) -> float:
    """Return the root mean square of what a branch adds over that of what skips it."""
    scale = getattr(reference.module.get_submodule(block), "scale", 1.0)
    added = by_unit(outputs(reference, [end])[end]) * scale
    skipped = by_unit(inputs(reference, [block])[block])
    return float(added.square().mean().sqrt() / skipped.square().mean().sqrt())


def _scale_branch(reference: Reference, end: str, factor: float) -> None:
    layer = reference.module.get_submodule(end)
    layer = layer.out_proj if isinstance(layer, nn.MultiheadAttention) else layer
    for value in layer.parameters():
        value.mul_(factor)


def _with_ratio(reference: Reference, ratio: float, rng: torch.Generator) -> Reference:
    branches = reference.recipe.branches
    end, block = branches[int(torch.randint(len(branches), (), generator=rng))]
    _scale_branch(reference, end, ratio / branch_ratio(reference, end, block))
    return reference


@fault("loud-branch", "RES001", applies=_has_branches)
def loud_branch(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Scale a residual branch to 7.5, 15 or 40 times what skips it."""
    return _with_ratio(reference, strength.choose(7.5, 15.0, 40.0), rng)


@fault("quiet-branch", "RES001", applies=_has_branches)
def quiet_branch(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Scale a residual branch to 1.3 %, 0.5 % or 0.1 % of what skips it."""
    return _with_ratio(reference, strength.choose(0.02 / 1.5, 0.005, 0.001), rng)
