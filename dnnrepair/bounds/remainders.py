"""What each remainder does to a verdict, with its sign, by one backward pass.

A remainder that travels forward as a radius meets magnitudes of weights only and grows with depth.
Its effect on a difference of logits is linear, so a gradient gives it exactly (the dual view of
Wong and Kolter, ICML 2018): every fresh remainder is a leaf of torch's graph that adds nothing to
the center, and holds its own half-width.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.program import GraphProgram


def fresh(center: Tensor, half: Tensor) -> Tensor:
    """Return the center, along which a new remainder can be followed where gradients are on."""
    if not torch.is_grad_enabled() or not bool(half.any()):
        return center
    leaf = half.detach().clone().requires_grad_()
    return center + (leaf - leaf.detach())


def effects(differences: Tensor, batch: int) -> Tensor | None:
    """Return how far all remainders together can move each difference, ``(batch,)``.

    Args:
        differences: one per sample, ``(batch,)``, computed from a zonotope's center.
        batch: a size that no other dimension has, by which the samples are told apart.

    Returns:
        None if a remainder is not laid out by sample.
    """
    leaves = _leaves(differences)
    found = torch.zeros_like(differences).detach()
    if not leaves:
        return found
    slopes = torch.autograd.grad(differences.sum(), leaves, retain_graph=True)
    for leaf, slope in zip(leaves, slopes, strict=True):
        if leaf.shape.count(batch) != 1:
            return None
        moved = (slope.abs() * leaf.detach()).movedim(leaf.shape.index(batch), 0)
        found += moved.flatten(1).sum(1) if moved.dim() > 1 else moved
    return found


def telling_size(program: GraphProgram, least: int) -> int:
    """Return the smallest batch size from ``least`` on that no dimension in the network has."""
    taken = {size for tensor in program.tensors.values() for size in tensor.shape}
    taken |= {size for site in program.sites for size in site.shape}
    return next(size for size in count(max(2, least)) if size not in taken)


def _leaves(value: Tensor) -> list[Tensor]:
    """Return the leaves that a value was computed from."""
    found: list[Tensor] = []
    waiting, seen = [value.grad_fn], set[object]()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None:
            found.append(leaf)
        waiting.extend(source for source, _ in node.next_functions)
    return found
