"""Inputs, labels and patched weights for the networks of the population benchmark.

Weights are as torch initializes them and inputs are random, which changes no timing. Labels are
what the network answers for 90 % of the inputs and another class for the rest, so that as many are
right as in a trained network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dnnrepair.population import Place

if TYPE_CHECKING:
    from torch import nn

    from dnnrepair.bench.recipes import Recipe

WEIGHTS = 10  # k, patched at a time
WRONG = 0.1  # share of inputs whose label is another class; those are to be fixed
ALPHA = 10.0  # how much more an input to fix counts
_BLOCK = 128  # inputs at a time where labels are made


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A recipe carried out for N inputs.

    Attributes:
        recipe: what it was made by.
        module: the network, in evaluation mode.
        inputs: ``(N, ...)``.
        labels: ``(N,)`` int64.
        weights: of the inputs in the fitness, ``(N,)``.
        places: the k patched weights.
    """

    recipe: Recipe
    module: nn.Module
    inputs: Tensor
    labels: Tensor
    weights: Tensor
    places: tuple[Place, ...]

    def candidates(self, count: int, seed: int) -> Tensor:
        """Return values ``(count, k)``: the originals plus noise as spread as their layer is.

        The first of more candidates are the candidates of fewer.
        """
        rng = torch.Generator().manual_seed(seed)
        tensors = dict(self.module.named_parameters())
        own = [tensors[place.tensor].detach() for place in self.places]
        originals = torch.stack([t[p.index] for t, p in zip(own, self.places, strict=True)])
        spread = torch.stack([tensor.std() for tensor in own])
        noise = [torch.randn(len(own), generator=rng) for _ in range(count)]
        return originals + spread * torch.stack(noise)


def prepare(recipe: Recipe, samples: int, seed: int) -> Workload:
    """Carry out a recipe; the same seed gives the same workload."""
    rng = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = recipe.make().eval()
    inputs = recipe.inputs(samples, rng)
    with torch.no_grad():
        logits = torch.cat([module(block) for block in inputs.split(_BLOCK)])
    right = logits.argmax(1)
    wrong = torch.zeros(samples, dtype=torch.bool)
    wrong[torch.randperm(samples, generator=rng)[: round(samples * WRONG)]] = True
    classes = logits.shape[1]
    other = (right + torch.randint(1, classes, (samples,), generator=rng)) % classes
    return Workload(
        recipe=recipe,
        module=module,
        inputs=inputs,
        labels=torch.where(wrong, other, right),
        weights=torch.where(wrong, ALPHA, 1.0),
        places=tuple(_places(recipe, module, rng)),
    )


def _places(recipe: Recipe, module: nn.Module, rng: torch.Generator) -> list[Place]:
    shapes = {name: tuple(p.shape) for name, p in module.named_parameters()}
    share = WEIGHTS // len(recipe.layers)
    return [
        place
        for name in recipe.layers
        for place in _drawn(name, shapes[name], share, recipe.rows, rng)
    ]


def _drawn(
    name: str, shape: tuple[int, ...], count: int, rows: int, rng: torch.Generator
) -> list[Place]:
    """Return different random places; with ``rows`` in exactly so many rows."""
    width = torch.Size(shape[1:]).numel()
    if rows:
        chosen = torch.randperm(shape[0], generator=rng)[:rows]
        row = chosen[torch.arange(count) % rows]
        flat = row * width + torch.randperm(width, generator=rng)[:count]
    else:
        flat = torch.randperm(shape[0] * width, generator=rng)[:count]
    indices = zip(*(axis.tolist() for axis in torch.unravel_index(flat, shape)), strict=True)
    return [Place(name, index) for index in indices]
