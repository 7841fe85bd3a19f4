"""Faults of attention, embeddings and recurrence: ACT003, ACT004, ATT001, EMB001, RNN001."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.models.faults import ACTIVITY, DAMAGE, GRADIENT, OUTPUT, Strength, fault
from dnnrepair.models.measuring import inputs, pick, solve, some

if TYPE_CHECKING:
    from dnnrepair.models.reference import Reference

_GATES = {"LSTM": ("input", "forget", "candidate", "output"), "GRU": ("reset", "update", "new")}
_COLLAPSED_AFTER = OUTPUT | ACTIVITY | GRADIENT


def _attends(reference: Reference) -> bool:
    return "attention" in reference.recipe.traits


def _attentions(reference: Reference) -> tuple[str, ...]:
    named = reference.module.named_modules()
    return tuple(name for name, part in named if isinstance(part, nn.MultiheadAttention))


def _attention(reference: Reference, name: str) -> nn.MultiheadAttention:
    layer = reference.module.get_submodule(name)
    assert isinstance(layer, nn.MultiheadAttention)  # noqa: S101 - just listed
    return layer


def heads(reference: Reference, name: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values of an attention layer, ``(N, heads, T, width)`` each."""
    layer = _attention(reference, name)
    (x,) = inputs(reference, [name]).values()
    packed = F.linear(x, layer.in_proj_weight, layer.in_proj_bias)
    query, key, value = (
        part.unflatten(-1, (layer.num_heads, -1)).transpose(1, 2) for part in packed.chunk(3, -1)
    )
    return query, key, value


def sharpness(query: Tensor, key: Tensor) -> float:
    """Return the mean entropy of attention, in [0, 1] of that of equal attention."""
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    attention = scores.softmax(dim=-1)
    entropy = -(attention * scores.log_softmax(dim=-1)).sum(dim=-1).mean()
    return float(entropy) / math.log(scores.shape[-1])


@fault("sharp-attention", "ACT004", applies=_attends, may=DAMAGE)
def sharp_attention(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Enlarge queries until attention has an entropy of 1.3 %, 0.5 % or 0.1 %."""
    name = pick(_attentions(reference), rng)
    query, key, _ = heads(reference, name)
    target = strength.choose(0.02 / 1.5, 0.005, 0.001)
    factor = solve(lambda f: sharpness(f * query, key), target, 1.0, 1e6)
    layer = _attention(reference, name)
    layer.in_proj_weight[: layer.embed_dim] *= factor
    layer.in_proj_bias[: layer.embed_dim] *= factor
    return reference


def head_deviations(reference: Reference, name: str) -> Tensor:
    """Return the standard deviation over tokens of each head's output, ``(heads,)``."""
    output = F.scaled_dot_product_attention(*heads(reference, name))
    return output.std(dim=(0, 2)).square().mean(dim=-1).sqrt()


@fault("dead-heads", "ATT001", applies=_attends, may=_COLLAPSED_AFTER | {"RES001"})
def dead_heads(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Shrink the values of one head (to 3.3 % of the largest), or silence one or two heads."""
    name = pick(_attentions(reference), rng)
    layer = _attention(reference, name)
    deviations = head_deviations(reference, name)
    for head in torch.randperm(layer.num_heads, generator=rng)[: strength.choose(1, 1, 2)].tolist():
        others = torch.cat([deviations[:head], deviations[head + 1 :]]).max()
        factor = float(0.05 / 1.5 * others / deviations[head])
        start = 2 * layer.embed_dim + head * layer.head_dim
        values = slice(start, start + layer.head_dim)
        layer.in_proj_weight[values] *= strength.choose(factor, 0.0, 0.0)
    return reference


@fault("cut-heads", "ATT001", applies=_attends, may=_COLLAPSED_AFTER | {"RES001"})
def cut_heads(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Cut one or two heads off the output projection (weak: norm 7e-4)."""
    layer = _attention(reference, pick(_attentions(reference), rng))
    for head in torch.randperm(layer.num_heads, generator=rng)[: strength.choose(1, 1, 2)].tolist():
        part = layer.out_proj.weight[:, head * layer.head_dim : (head + 1) * layer.head_dim]
        part *= strength.choose(1e-3 / 1.5 / float(part.norm()), 0.0, 0.0)
    return reference


@fault("twin-heads", "ATT001", applies=_attends, may=_COLLAPSED_AFTER | {"WGT002"})
def twin_heads(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Make two, three or all heads of a layer the same."""
    layer = _attention(reference, pick(_attentions(reference), rng))
    first, *rest = torch.randperm(layer.num_heads, generator=rng).tolist()
    width = layer.head_dim
    for tensor in (layer.in_proj_weight, layer.in_proj_bias):
        parts = tensor.detach().view(3, layer.num_heads, width, *tensor.shape[1:])
        for head in rest[: strength.choose(1, 2, layer.num_heads)]:
            parts[:, head] = parts[:, first]
    return reference


def _embedding(reference: Reference) -> nn.Embedding | None:
    found = (m for m in reference.module.modules() if isinstance(m, nn.Embedding))
    return next(found, None)


def _embeds(reference: Reference) -> bool:
    return _embedding(reference) is not None


@fault("collapsed-embedding", "EMB001", applies=_embeds, may=DAMAGE)
def collapsed_embedding(
    reference: Reference, strength: Strength, rng: torch.Generator
) -> Reference:
    """Draw all embeddings toward one point, and what is left of them onto one line."""
    layer = _embedding(reference)
    assert layer is not None  # noqa: S101 - the fault applies
    weight = layer.weight.detach()
    center = torch.randn(weight.shape[1], generator=rng)
    apart = weight - weight.mean(dim=0)
    u, s, v = torch.linalg.svd(apart, full_matrices=False)
    s[1:] *= strength.choose(0.05, 0.03, 0.0)
    line = u @ torch.diag(s) @ v
    size = center.norm() * strength.choose(0.2, 0.1, 0.01)
    weight.copy_(center + size * line / line.norm(dim=1).mean())
    return reference


@fault("zero-embeddings", "EMB001", applies=_embeds, may=DAMAGE | {"WGT001"})
def zero_embeddings(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Make 15 %, 30 % or 60 % of the embeddings in use zero."""
    layer = _embedding(reference)
    assert layer is not None  # noqa: S101 - the fault applies
    used = reference.inputs[0].unique()
    layer.weight[used[some(len(used), strength.choose(0.15, 0.3, 0.6), rng)]] = 0.0
    return reference


def _recurs(reference: Reference) -> bool:
    return "recurrent" in reference.recipe.traits


def _cell(reference: Reference) -> nn.RNNBase:
    return next(m for m in reference.module.modules() if isinstance(m, nn.RNNBase))


def candidate(cell: nn.RNNBase) -> Tensor:
    """Return the hidden-to-hidden weights of the candidate state, ``(hidden, hidden)``."""
    weight = dict(cell.named_parameters())["weight_hh_l0"].detach()
    block = {"RNN_TANH": 0, "RNN_RELU": 0, "LSTM": 2, "GRU": 2}[cell.mode]
    return weight.narrow(0, block * cell.hidden_size, cell.hidden_size)


def spectral_radius(weight: Tensor) -> float:
    """Return the largest absolute eigenvalue of a square matrix."""
    return float(torch.linalg.eigvals(weight.double()).abs().max())


def _with_radius(reference: Reference, radius: float) -> Reference:
    cell = _cell(reference)
    factor = radius / spectral_radius(candidate(cell))
    dict(cell.named_parameters())["weight_hh_l0"].mul_(factor)
    return reference


@fault("weak-recurrence", "RNN001", applies=_recurs)
def weak_recurrence(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Shrink the recurrent weights to a spectral radius of 0.13, 0.05 or 0.02."""
    del rng
    return _with_radius(reference, strength.choose(0.2 / 1.5, 0.05, 0.02))


@fault("strong-recurrence", "RNN001", applies=_recurs)
def strong_recurrence(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Enlarge the recurrent weights to a spectral radius of 5.2, 8 or 15."""
    del rng
    return _with_radius(reference, strength.choose(5.25, 8.0, 15.0))


def _is_lstm(reference: Reference) -> bool:
    return _recurs(reference) and isinstance(_cell(reference), nn.LSTM)


@fault("shut-gates", "ACT003", applies=_is_lstm)
def shut_gates(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
    """Lower the bias of 37.5 %, 60 % or 90 % of the input or output gates until they stay shut."""
    cell = _cell(reference)
    gate = _GATES["LSTM"].index(pick(("input", "output"), rng))
    named = dict(cell.named_parameters())
    weight, bias = named["weight_hh_l0"], named["bias_ih_l0"]
    units = gate * cell.hidden_size + some(cell.hidden_size, strength.choose(0.375, 0.6, 0.9), rng)
    (x,) = reference.inputs
    most = (x.flatten(0, 1) @ named["weight_ih_l0"].T).amax(dim=0) + weight.abs().sum(dim=1)
    bias[units] = -(most + named["bias_hh_l0"])[units] - strength.choose(5.0, 8.0, 50.0)
    return reference
