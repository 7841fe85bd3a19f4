"""Faults of numbers, inputs and mode: NUM001, NUM002, DAT001, MOD001."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from dnnrepair.models.cnn import FractionalPool
from dnnrepair.models.faults import (
    DAMAGE,
    NORMALIZATION,
    OUTPUT,
    Strength,
    always,
    fault,
)
from dnnrepair.models.measuring import (
    affine,
    affine_layers,
    batch_norm,
    batch_norms,
    outputs,
    pick,
    some,
    units_first,
)
from dnnrepair.models.structures import AlwaysDropout, Noisy, RandomPool, become

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dnnrepair.models.reference import Reference

_NOTHING: frozenset[str] = frozenset()
_DENORMAL = 1e-39  # times a usual weight: below float32's smallest normal number
_MOD001_LIMIT = 1e-5  # of the output's root mean square, or of 1


def weights(reference: Reference) -> tuple[Tensor, ...]:
    """Return the weight matrices of all layers but the head, ``(units, ...)`` views."""
    found = [units_first(affine(reference, name)) for name in affine_layers(reference)]
    named = reference.module.named_parameters()
    found += [p.detach() for name, p in named if ".weight_ih_" in name or ".weight_hh_" in name]
    return tuple(found)


def _one_weight(reference: Reference, rng: torch.Generator) -> Tensor:
    matrices = weights(reference)
    return matrices[int(torch.randint(len(matrices), (), generator=rng))]


def _set(weight: Tensor, places: Tensor, value: float) -> None:
    index = torch.unravel_index(places, weight.shape)
    weight[index] = value


@fault("nan-weight", "NUM001", applies=always, may=OUTPUT)
def nan_weight(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Make one weight, 1 % or 10 % of a layer's weights not a number."""
    weight = _one_weight(reference, rng)
    places = some(weight.numel(), strength.choose(0.0, 0.01, 0.1), rng)
    _set(weight, places, float("nan"))
    return reference


@fault("half-overflow", "NUM001", applies=always, may=DAMAGE | {"NUM002"})
def half_overflow(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Store weights as 16-bit floats after some grew to 1e5, which half precision cannot hold."""
    weight = _one_weight(reference, rng)
    _set(weight, some(weight.numel(), strength.choose(0.0, 0.01, 0.1), rng), 1e5)
    weight.copy_(weight.half().float())
    return reference


@fault(
    "nan-statistic", "NUM001", applies=lambda r: bool(batch_norms(r)), may=OUTPUT | NORMALIZATION
)
def nan_statistic(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Make running variances not a number, as a batch with an overflow does."""
    variance = batch_norm(reference, pick(batch_norms(reference), rng)).running_var
    assert variance is not None  # noqa: S101 - reference networks track statistics
    variance[some(len(variance), strength.choose(0.0, 0.3, 1.0), rng)] = float("nan")
    return reference


@fault("denormal-weights", "NUM002", applies=always, may=DAMAGE | {"INI001"})
def denormal_weights(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Shrink the weights of some units until they are denormal."""
    weight = _one_weight(reference, rng)
    weight[some(len(weight), strength.choose(0.15, 0.2, 0.5), rng)] *= _DENORMAL
    return reference


@fault("extreme-weight", "NUM002", applies=always, may=DAMAGE | {"WGT002"})
def extreme_weight(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Make one weight 15,000, 1e5 or 1e6 times the median one."""
    weight = _one_weight(reference, rng)
    value = float(weight.abs().median()) * strength.choose(1.5e4, 1e5, 1e6)
    _set(weight, some(weight.numel(), 0.0, rng), value)
    return reference


def _takes_numbers(reference: Reference) -> bool:
    return reference.inputs[0].is_floating_point() and reference.task != "generate"


@fault("raw-inputs", "DAT001", applies=_takes_numbers, may=DAMAGE)
def raw_inputs(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Feed inputs off center, as 0..255, or as 60 x + 100."""
    del rng
    (x,) = reference.inputs
    centered = x + 2.25 * float(x.std()) - float(x.mean())  # mean / std 1.5 times the limit
    return replace(reference, inputs=(strength.choose(centered, x * 255, x * 60 + 100),))


@fault("feature-scale", "DAT001", applies=lambda r: "table" in r.recipe.traits, may=DAMAGE)
def feature_scale(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Give one column in another unit."""
    x = reference.inputs[0].clone()
    least = x.std(dim=0).min()
    column = int(torch.randint(x.shape[1], (), generator=rng))
    x[:, column] *= strength.choose(1.5e3, 1e4, 1e6) * least / x[:, column].std()
    return replace(reference, inputs=(x,))


def _has_head(reference: Reference) -> bool:
    return bool(reference.recipe.head)


@fault("dropout-in-eval", "MOD001", applies=_has_head, may=_NOTHING)
def dropout_in_eval(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Drop inputs of the head in evaluation mode too."""
    del rng
    head = become(reference.module.get_submodule(reference.recipe.head), AlwaysDropout)
    head.share = strength.choose(0.02, 0.3, 0.5)
    return reference


@fault("noise-in-eval", "MOD001", applies=_has_head, may=_NOTHING)
def noise_in_eval(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Add noise to the head's output in evaluation mode too."""
    del rng
    name = reference.recipe.head
    output = outputs(reference, [name])[name]
    limit = _MOD001_LIMIT * max(1.0, float(output.square().mean().sqrt()))
    head = become(reference.module.get_submodule(name), Noisy)
    head.scale = limit * strength.choose(1.5, 100.0, 1e4)
    return reference


def _pools(reference: Reference) -> tuple[nn.Module, ...]:
    return tuple(m for m in reference.module.modules() if isinstance(m, FractionalPool))


@fault("random-pooling", "MOD001", applies=lambda r: bool(_pools(r)), may=_NOTHING, graded=False)
def random_pooling(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Draw pooling regions anew in evaluation mode, as torch's own fractional pooling does."""
    del strength, rng
    for pool in _pools(reference):
        become(pool, RandomPool)
    return reference
