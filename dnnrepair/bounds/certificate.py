"""Certify the samples whose verdict no candidate of a search can change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from dnnrepair.bounds.patched import patch
from dnnrepair.bounds.remainders import effects, telling_size
from dnnrepair.bounds.rule import UnboundedError
from dnnrepair.bounds.zonotope import Zonotope, as_zonotope, point
from dnnrepair.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dnnrepair.bounds.patched import Patched
    from dnnrepair.program import GraphProgram

_ROUNDING = 1000  # of a verdict's terms, in units of the number format's resolution
_ROWS = 512  # samples times parts of a zonotope that are computed at once
_MATRIX = 2  # rank of (N, classes)


@dataclass(frozen=True, slots=True)
class Certified:
    """What the bounds say.

    Attributes:
        correct: samples that every candidate gets right, ``(n,)``.
        reason: why none could be certified; empty if the bounds were computed.
    """

    correct: Tensor
    reason: str = ""


def certify(
    program: GraphProgram,
    places: Sequence[tuple[str, int]],
    low: Tensor,
    high: Tensor,
    inputs: Sequence[Tensor],
    labels: Tensor,
) -> Certified:
    """Return the samples that stay correct wherever in the box the weights lie.

    Correct means that the label's logit is at least every other. Plain intervals screen the
    samples first; zonotopes, which cost a forward pass per place, take the rest; and what they
    leave open is decided by a backward pass per class in question.

    Rounding: bounds and network are computed in the same number format, in different orders. A
    margin counts only if it exceeds 1000 units of resolution (1.2e-4 in float32) of the sum of
    absolute terms behind the logits; errors seen in practice are below 20 units.

    Args:
        program: the network, in evaluation mode.
        places: the changed weights as tensor name and flat index, k of them.
        low: their least values, ``(k,)``.
        high: their greatest values, ``(k,)``.
        inputs: one tensor per input, ``(n, ...)``.
        labels: class of each sample, ``(n,)``.

    Raises:
        SettingError: a place does not exist or is named twice, or the box is empty.
    """
    _check(program.tensors, places, low, high)
    correct = torch.zeros(len(labels), dtype=torch.bool, device=labels.device)
    try:
        for joint in (False, True):
            weights = patch(program.tensors, places, low, high, joint=joint)
            rows = max(2, _ROWS // (len(places) * joint + 2))
            size = program.batch_size or telling_size(program, rows) or rows
            for part in torch.nonzero(~correct)[:, 0].split(size) if not correct.all() else ():
                index = part[torch.arange(size, device=part.device) % len(part)]
                batch = [x[index] for x in inputs]
                with torch.set_grad_enabled(joint):
                    margins = _margins(program, weights, batch, labels[index])
                correct[part] = margins[: len(part)] > 0
    except UnboundedError as error:
        return Certified(torch.zeros_like(correct), str(error))
    return Certified(correct)


def _margins(
    program: GraphProgram,
    weights: Mapping[str, Patched],
    inputs: Sequence[Tensor],
    labels: Tensor,
) -> Tensor:
    """Return by how much the label's logit exceeds every other at least, ``(n,)``."""
    found: object = program.run(inputs, tensors=cast("Mapping[str, Tensor]", weights))
    if isinstance(found, Tensor):  # no place reaches the prediction
        found = point(found, 0)
    logits = as_zonotope(found)
    logits = logits.logits or logits
    if logits.dim() != _MATRIX:
        message = f"the prediction has shape {tuple(logits.shape)}, not (samples, classes)"
        raise UnboundedError(message)
    margins = _least_leads(logits, labels) - _slack(logits)[:, None]
    margins.scatter_(1, labels[:, None], torch.inf)  # the label does not compete with itself
    if logits.center.requires_grad and telling_size(program, len(labels)) == len(labels):
        _follow_back(logits, labels, margins)
    return margins.amin(1)


def _slack(logits: Zonotope) -> Tensor:
    """Return what rounding may take from a lead, ``(n,)``."""
    product = logits.product
    size = logits.center.detach().abs() + logits.spread
    scale = size.amax(1) if product is None else product.scale
    return _ROUNDING * torch.finfo(scale.dtype).eps * scale


def _follow_back(logits: Zonotope, labels: Tensor, margins: Tensor) -> None:
    """Raise margins that are not positive by following remainders back, one class at a time.

    A sample is given up at the first class that stays open.
    """
    slack, rows = _slack(logits), torch.arange(len(labels), device=labels.device)
    lost = torch.zeros_like(labels, dtype=torch.bool)
    while bool((waiting := (margins <= 0).any(1) & ~lost).any()):
        rivals = torch.where(waiting, margins.argmin(1), labels)
        found = _lead_followed_back(logits, labels, rivals)
        if found is None:
            return
        lead = found - slack
        won = waiting & (lead > 0)
        margins[rows[won], rivals[won]] = lead[won]
        lost |= waiting & ~won


def _lead_followed_back(logits: Zonotope, labels: Tensor, rivals: Tensor) -> Tensor | None:
    """Return the least lead of each label over one rival, ``(n,)``; None if it cannot be told."""
    index = torch.stack([labels, rivals], 1)  # (n, 2)
    own, other = logits.center.gather(1, index).unbind(1)
    moved = effects(own - other, len(labels))
    if moved is None:
        return None
    lead = (own - other).detach() - moved
    for slope in logits.slopes:
        mine, its = slope.gather(1, index).unbind(1)
        lead -= (mine - its).abs()
    return lead


def _least_leads(logits: Zonotope, labels: Tensor) -> Tensor:
    """Return lower bounds of ``logits[label] - logits[class]``, ``(n, classes)``."""

    def apart(values: Tensor) -> Tensor:
        return values.gather(-1, labels[:, None].expand(*values.shape[:-1], 1)) - values

    center = apart(logits.center.detach())
    found = center - _radius(logits, labels)
    for slope in logits.slopes:
        found -= apart(slope).abs()
    return found


def _radius(logits: Zonotope, labels: Tensor) -> Tensor:
    """Return the remainder of each difference; through the last Linear's rows where known."""
    product = logits.product
    own = logits.radius if product is None else product.own
    found = own.gather(1, labels[:, None]) + own
    if product is None:
        return found
    for label in labels.unique():
        rows = labels == label
        apart = (product.weight[label] - product.weight).abs()
        found[rows] += product.radius[rows] @ apart.T
    return found


def _check(
    tensors: Mapping[str, Tensor], places: Sequence[tuple[str, int]], low: Tensor, high: Tensor
) -> None:
    if not len(places) == len(low) == len(high) > 0:
        message = f"{len(places)} places, but {len(low)} least and {len(high)} greatest values"
        raise SettingError(message)
    if len(set(places)) < len(places):
        message = "a place is named twice; name each weight once"
        raise SettingError(message)
    for name, index in places:
        tensor = tensors.get(name)
        if tensor is None or not 0 <= index < tensor.numel() or not tensor.is_floating_point():
            message = f"there is no weight {index} in {name!r}; take places from the network"
            raise SettingError(message)
    if not bool((low <= high).all() & low.isfinite().all() & high.isfinite().all()):
        message = "the box is empty or not finite; give low <= high for every place"
        raise SettingError(message)
