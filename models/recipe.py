"""How a reference network is made and trained."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from dnnrepair.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn

    from dnnrepair.models.views import Split

    Objective = Callable[[Tensor, Tensor], Tensor]

OBJECTIVES: dict[str, Objective] = {"cross_entropy": F.cross_entropy, "mse": F.mse_loss}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a reference network is made and trained.

    Attributes:
        make: returns it with fresh weights.
        data: returns its data.
        activation: of its hidden layers, a key of :data:`dnnrepair.models.measuring.SLOPES`, or "".
        hidden: modules whose output enters an activation, in order of execution.
        head: the last linear layer, "" if there is none.
        branches: residual branches as (module that ends it, module whose input it joins).
        traits: what faults ask for: ``plain`` (a chain without normalization or shortcuts),
            ``deep`` (at least 6 hidden layers), ``images``, ``table``, ``attention``,
            ``recurrent``.
        task, loss: as :class:`dnnrepair.models.reference.Reference` says; loss "" for a generator.
        objective: what training minimizes, where that is no loss of ``OBJECTIVES``.
        optimizer: ``adam`` or ``sgd`` (momentum 0.9).
        relabel: returns other training targets to train on, from the right ones.
    """

    make: Callable[[], nn.Module]
    data: Callable[[], Split]
    activation: str = "relu"
    hidden: tuple[str, ...] = ()
    head: str = "head"
    branches: tuple[tuple[str, str], ...] = ()
    traits: frozenset[str] = frozenset()
    task: str = "classify"
    loss: str = "cross_entropy"
    objective: Objective | None = None
    optimizer: str = "adam"
    learning_rate: float = 3e-3  # at the start; falls to 0 along a cosine
    weight_decay: float = 0.0
    epochs: int = 15
    batch_size: int = 64
    relabel: Callable[[Tensor, torch.Generator], Tensor] | None = None
    sparsity: float = 0.0  # factor of the L1 norm of all weights in the loss


networks: Registry[Recipe] = Registry("network", "dnnrepair.models")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from ``seed`` inside the block, and leave torch's random state as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def fresh(recipe: Recipe, seed: int) -> nn.Module:
    """Return the untrained network, in evaluation mode."""
    with seeded(seed):
        return recipe.make().eval()


def train(recipe: Recipe, seed: int) -> nn.Module:
    """Return the trained network, in evaluation mode; the same seed gives the same weights."""
    data = recipe.data()
    with seeded(seed):
        network = recipe.make().train()
        rng = torch.Generator().manual_seed(seed)
        targets = data.train_targets
        if recipe.relabel is not None:
            targets = recipe.relabel(targets, rng)
        objective = recipe.objective or OBJECTIVES[recipe.loss]
        optimizer = _optimizer(recipe, network)
        steps = -(-len(data.train_inputs) // recipe.batch_size) * recipe.epochs
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for batch in _batches(len(data.train_inputs), recipe, rng):
            optimizer.zero_grad()
            loss = objective(network(data.train_inputs[batch]), targets[batch])
            (loss + _penalty(network, recipe.sparsity)).backward()
            optimizer.step()
            falling.step()
    return network.eval()


def _batches(count: int, recipe: Recipe, rng: torch.Generator) -> Iterator[Tensor]:
    for _ in range(recipe.epochs):
        yield from torch.randperm(count, generator=rng).split(recipe.batch_size)


def _penalty(network: nn.Module, factor: float) -> Tensor | float:
    if not factor:
        return 0.0
    return factor * torch.stack([p.abs().sum() for p in network.parameters()]).sum()


def _optimizer(recipe: Recipe, network: nn.Module) -> torch.optim.Optimizer:
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9, weight_decay=decay)
    return torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay)


def energy_distance(generated: Tensor, real: Tensor) -> Tensor:
    """Return 2 E|g - r| - E|g - g'| between two sets of images (Szekely and Rizzo 2013).

    The third term, E|r - r'|, does not depend on the generator.
    """
    one, other = generated.flatten(1), real.flatten(1)
    count = len(one)
    within = torch.cdist(one, one).sum() / (count * (count - 1))
    return 2 * torch.cdist(one, other).mean() - within
