"""Rules of softmax and attention, as exponentials, sums and products."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch

from dnnrepair.bounds.arithmetic import matmul, mul, sub
from dnnrepair.bounds.enclosing import exp, log, reciprocal
from dnnrepair.bounds.rule import UnboundedError, bound
from dnnrepair.bounds.zonotope import Value, Zonotope, as_zonotope

_MATRIX = 2  # rank of (N, classes)


@bound("softmax", "_softmax")
def softmax(x: Zonotope, dim: int, *_type: Any) -> Zonotope:  # noqa: ANN401
    """Bound ``exp(x) / sum(exp(x))``; over classes it remembers the logits."""
    top = x.center.detach().amax(dim, keepdim=True)
    shifted = as_zonotope(sub(x, top))
    power = exp(shifted)
    whole = power.map(lambda part: part.sum(dim, keepdim=True))
    least = torch.exp(shifted.low).sum(dim, keepdim=True)
    return _over_classes(as_zonotope(mul(power, reciprocal(whole, least))), x, dim)


@bound("log_softmax", "_log_softmax")
def log_softmax(x: Zonotope, dim: int, *_type: Any) -> Zonotope:  # noqa: ANN401
    """Bound ``x - log(sum(exp(x)))``; over classes it remembers the logits."""
    top = x.center.detach().amax(dim, keepdim=True)
    shifted = as_zonotope(sub(x, top))
    whole = exp(shifted).map(lambda part: part.sum(dim, keepdim=True))
    return _over_classes(as_zonotope(sub(shifted, log(whole))), x, dim)


@bound("scaled_dot_product_attention")
def attention(
    query: Value,
    key: Value,
    value: Value,
    mask: object = None,
    dropout: float = 0.0,
    causal: bool = False,  # noqa: FBT001, FBT002 - as torch has it
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Value:
    """Bound ``softmax(query key^T scale) value``.

    Raises:
        UnboundedError: with a mask, dropout or grouped queries.
    """
    if mask is not None or dropout or causal or enable_gqa:
        message = "no interval rule for aten.scaled_dot_product_attention with a mask"
        raise UnboundedError(message)
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    turned = key.map(lambda k: k.mT) if isinstance(key, Zonotope) else key.mT
    scores = mul(matmul(query, turned), factor)
    weights = softmax(scores, -1) if isinstance(scores, Zonotope) else torch.softmax(scores, -1)
    return matmul(weights, value)


def _over_classes(found: Zonotope, x: Zonotope, dim: int) -> Zonotope:
    classes = x.dim() == _MATRIX and dim in {1, -1}
    return replace(found, logits=x) if classes else found
