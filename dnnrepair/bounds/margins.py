"""By how much the label's logit exceeds every other at least."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from dnnrepair.bounds.remainders import effects
from dnnrepair.bounds.rule import UnboundedError
from dnnrepair.bounds.zonotope import Zonotope, as_zonotope, point

_ROUNDING = 1000  # of a verdict's terms, in units of the number format's resolution
_REACH = 8  # times a lead: a larger remainder does not fit into it when the box is cut
_MATRIX = 2  # rank of (N, classes)


def logits_of(prediction: object) -> Zonotope:
    """Return the logits behind a prediction, ``(n, classes)``; a single one stands against 0.

    Raises:
        UnboundedError: it has another shape.
    """
    exact = isinstance(prediction, Tensor)  # no place reaches it
    found = point(prediction, 0) if exact else as_zonotope(prediction)  # type: ignore[arg-type]
    found = found.logits or found
    if found.dim() != _MATRIX:
        message = f"the prediction has shape {tuple(found.shape)}, not (samples, classes)"
        raise UnboundedError(message)
    return _against_zero(found) if found.shape[1] == 1 else found


def _against_zero(logit: Zonotope) -> Zonotope:
    """Return two logits, the first 0, for one."""

    def beside(value: Tensor) -> Tensor:
        return functional.pad(value, (1, 0))

    product = logit.product
    if product is not None:
        weight = functional.pad(product.weight, (0, 0, 1, 0))
        product = replace(product, weight=weight, own=beside(product.own))
    return replace(logit.map(beside), product=product)


def margins_of(logits: Zonotope, labels: Tensor, *, by_sample: bool) -> tuple[Tensor, Tensor]:
    """Return the least lead over another class, less what rounding may take, ``(n,)``.

    Also return which samples a smaller box may settle, ``(n,)``: those on which the changes' linear
    effect leaves a lead that is no less than a small part of the remainder.

    Rounding: bounds and network are computed in the same number format, in different orders. A
    lead counts only beyond 1000 units of resolution (1.2e-4 in float32) of the sum of absolute
    terms behind the logits, which is an allowance, not a proof.

    Args:
        logits: ``(n, classes)``.
        labels: ``(n,)``.
        by_sample: remainders may be followed back: n is a size that tells samples apart.
    """
    margins = _least_leads(logits, labels) - _slack(logits)[:, None]
    margins.scatter_(1, labels[:, None], torch.inf)  # the label does not compete with itself
    hope = torch.ones_like(labels, dtype=torch.bool)
    if by_sample and logits.center.requires_grad:
        hope = _follow_back(logits, labels, margins)
    return margins.amin(1), hope


def _slack(logits: Zonotope) -> Tensor:
    """Return what rounding may take from a lead, ``(n,)``."""
    product = logits.product
    size = logits.center.detach().abs() + logits.spread
    scale = size.amax(1) if product is None else product.scale
    return _ROUNDING * torch.finfo(scale.dtype).eps * scale


def _follow_back(logits: Zonotope, labels: Tensor, margins: Tensor) -> Tensor:
    """Raise margins that are not positive by following remainders back, one class at a time.

    A sample is given up at the first class that stays open; whether there is hope is returned.
    """
    slack, rows = _slack(logits), torch.arange(len(labels), device=labels.device)
    lost = torch.zeros_like(labels, dtype=torch.bool)
    hope = torch.ones_like(lost)
    while bool((waiting := (margins <= 0).any(1) & ~lost).any()):
        rivals = torch.where(waiting, margins.argmin(1), labels)
        own, other = logits.center.gather(1, torch.stack([labels, rivals], 1)).unbind(1)
        moved = effects(own - other, len(labels))
        if moved is None:
            break
        lead = _linear_lead(logits, labels, rivals) - slack
        won = waiting & (lead > moved)
        margins[rows[won], rivals[won]] = (lead - moved)[won]
        hope &= ~waiting | (moved < _REACH * lead)
        lost |= waiting & ~won
    return hope


def _linear_lead(logits: Zonotope, labels: Tensor, rivals: Tensor) -> Tensor:
    """Return the least lead over one rival each if there were no remainders, ``(n,)``."""
    index = torch.stack([labels, rivals], 1)  # (n, 2)
    own, other = logits.center.detach().gather(1, index).unbind(1)
    lead = own - other
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
