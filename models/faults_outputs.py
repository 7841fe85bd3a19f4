"""Faults of what a network answers: OUT001 to OUT003, ACT004, GEN001."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from dnnrepair.models.building import accuracy
from dnnrepair.models.faults import DAMAGE, OUTPUT, Strength, classifies, fault
from dnnrepair.models.measuring import solve
from dnnrepair.models.structures import (
    Modes,
    ReluHead,
    SigmoidHead,
    SoftmaxHead,
    TanhHead,
    become,
)
from dnnrepair.models.views import LATENT

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.models.reference import Reference

_CLASS = 3
_SHAKEN = 0.6  # accuracy of a network whose overconfidence can show


def head(reference: Reference) -> nn.Linear:
    """Return the last layer."""
    layer = reference.module.get_submodule(reference.recipe.head)
    assert isinstance(layer, nn.Linear)  # noqa: S101 - of every classifier and regressor
    return layer


@fault("softmax-twice", "OUT001", applies=classifies, may=OUTPUT, graded=False)
def softmax_twice(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Append a softmax although the loss has one."""
    del strength, rng
    become(head(reference), SoftmaxHead)
    return reference


@fault("sigmoid-output", "OUT001", applies=classifies, may=OUTPUT, graded=False)
def sigmoid_output(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Append a sigmoid although exactly one class is right."""
    del strength, rng
    become(head(reference), SigmoidHead)
    return reference


@fault("relu-output", "OUT001", applies=lambda r: bool(r.loss), may=OUTPUT, graded=False)
def relu_output(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Append a ReLU to an output that must be able to be negative."""
    del strength, rng
    become(head(reference), ReluHead)
    return reference


@fault("tanh-output", "OUT001", applies=lambda r: r.task == "regress", may=OUTPUT, graded=False)
def tanh_output(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Append a tanh to an output whose targets leave [-1, 1]."""
    del strength, rng
    become(head(reference), TanhHead)
    return reference


@fault("logits-as-logs", "OUT001", applies=classifies, may=OUTPUT | {"GRD002"}, graded=False)
def logits_as_logs(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Give logits to the negative log-likelihood loss, which expects log-probabilities."""
    del strength, rng
    return replace(reference, loss="nll")


def logits(reference: Reference) -> Tensor:
    """Return what the network answers on its data, ``(N, classes)``."""
    with torch.no_grad():
        answer: Tensor = reference.module(*reference.inputs)
    return answer


@fault("class-collapse", "OUT002", applies=classifies, may=OUTPUT | {"NUM002"} | DAMAGE)
def class_collapse(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Raise one class's bias until it takes 75 %, 92 % or (bias 80) all samples."""
    del rng
    found = logits(reference)
    rivals = found.clone()
    rivals[:, _CLASS] = -torch.inf
    needed = (rivals.amax(dim=1) - found[:, _CLASS]).sort().values
    lift = float(needed[int(strength.choose(0.75, 0.92, 0.99) * len(needed))])
    head(reference).bias[_CLASS] += strength.choose(lift, lift, 80.0)
    return reference


def overconfidence(found: Tensor, labels: Tensor) -> float:
    """Return mean confidence minus accuracy of logits ``(N, classes)``."""
    confidence, answer = found.softmax(dim=-1).max(dim=-1)
    return float(confidence.mean() - (answer == labels).float().mean())


@fault("overconfidence", "OUT003", applies=classifies, may=OUTPUT | DAMAGE)
def overconfident(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Shake the head to 60 % accuracy and scale logits to overconfidence 0.15, 0.25 or 0.35."""
    last = head(reference)
    noise = torch.randn(last.weight.shape, generator=rng) * last.weight.std()
    before = last.weight.clone()

    def shaken(size: float) -> float:
        last.weight.copy_(before + size * noise)
        return accuracy(reference) or 0.0

    shaken(solve(shaken, _SHAKEN, 1e-2, 10.0))
    labels = reference.targets
    assert labels is not None  # noqa: S101 - of every reference network
    found = logits(reference)
    target = strength.choose(0.15, 0.25, 0.35)
    factor = solve(lambda f: overconfidence(f * found, labels), target, 1e-2, 1e3)
    last.weight.mul_(factor)
    last.bias.mul_(factor)
    return reference


@fault("sharp-output", "ACT004", applies=classifies, may=OUTPUT | DAMAGE)
def sharp_output(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Scale logits until 90 % of answers claim a probability beyond 0.9993, or by 20 or 50."""
    del rng
    found = logits(reference)

    def claimed(factor: float) -> float:
        doubt = 1 - F.softmax(factor * found.double(), dim=-1).amax(dim=-1)
        return float(doubt.quantile(0.9))

    weak = solve(claimed, 1e-3 / 1.5, 1e-2, 1e4)
    factor = strength.choose(weak, max(20.0, 2 * weak), max(50.0, 4 * weak))
    last = head(reference)
    last.weight.mul_(factor)
    last.bias.mul_(factor)
    return reference


def _generates(reference: Reference) -> bool:
    return reference.task == "generate"


def spread(images: Tensor) -> float:
    """Return the mean distance between two of the images."""
    return float(torch.pdist(images.flatten(1)).mean())


@fault("collapsed-generator", "GEN001", applies=_generates, may=DAMAGE)
def collapsed_generator(
    reference: Reference, strength: Strength, rng: torch.Generator
) -> Reference:
    """Weaken the latent sample's influence: images 30 %, 10 % or 1 % as far apart as before."""
    del rng
    whole = spread(logits(reference))

    def weakened(factor: float) -> Reference:
        copy = reference.copy()
        next(iter(copy.module.parameters())).detach().mul_(factor)
        return copy

    share = strength.choose(0.3, 0.1, 0.01)
    factor = solve(lambda f: spread(logits(weakened(f))) / whole, share, 1e-4, 1.0)
    return weakened(factor)


@fault("few-modes", "GEN001", applies=_generates, may=DAMAGE)
def few_modes(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Let the generator know only five, two or one image ("Helvetica", Goodfellow 2014)."""
    points = torch.randn(strength.choose(5, 2, 1), LATENT, generator=rng)
    return replace(reference, module=Modes(reference.module, points).eval())
