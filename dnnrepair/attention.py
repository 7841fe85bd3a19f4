"""Attention as it stands in a graph: fused, or written by hand as softmax and a product."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from dnnrepair.sites import Site, Sites

PRODUCTS = frozenset({"matmul", "bmm", "einsum"})
MOST_SCORES = 2**24  # numbers of an attention matrix that are recomputed at once
_AXES = (3, 4)  # of a hand-written attention matrix: (N, T, S) or (N, heads, T, S)
_FUSED = 4  # axes of queries, keys and values: (N, heads, T, d)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attended:
    """One attention on some samples.

    Attributes:
        weights: attention matrix ``(N, heads, T, S)``; rows sum to 1 (0 if nothing is attendable).
        allowed: how many keys each query may attend to, ``(N, heads, T)``.
        output: of the heads, ``(N, heads, T, d)``.
    """

    weights: Tensor
    allowed: Tensor
    output: Tensor


def is_attention(site: Site, sites: Sites) -> bool:
    """Tell whether a site puts out what heads gathered: fused, or a product with a softmax."""
    if site.kind is Kind.ATTENTION:
        return len(site.shape) == _FUSED
    return site.op in PRODUCTS and softmax_of(site, sites) is not None


def softmax_of(site: Site, sites: Sites) -> Site | None:
    """Return the softmax whose weights a product spends on values, None if it is no attention."""
    if not site.inputs or len(site.shape) not in _AXES:
        return None
    found = sites.source(site)
    return found if found is not None and found.op == "softmax" else None


def heads_of(site: Site) -> int:
    """Return the number of heads: dimension 1 of ``(N, heads, T, d)``, else 1."""
    return site.shape[1] if len(site.shape) == _FUSED else 1


def attended(site: Site, arguments: Mapping[str, Any], output: Tensor) -> Attended:
    """Recompute the attention of a call on as many samples as fit, at least one."""
    if site.kind is Kind.ATTENTION:
        return _fused(arguments, output)
    weights = arguments.get("input", arguments.get("arg0"))
    assert isinstance(weights, torch.Tensor)  # a product of two tensors  # noqa: S101
    if weights.dim() < _FUSED:
        weights, output = weights.unsqueeze(1), output.unsqueeze(1)
    few = _samples(weights.shape)
    weights = weights[:few].float()
    ever = (weights > 0).any(0).any(0)  # (T, S): one head may leave out what the mask allows
    allowed = ever.sum(-1).expand(weights.shape[:-1])
    return Attended(weights=weights, allowed=allowed, output=output[:few].float())


def _samples(shape: torch.Size) -> int:
    return max(1, MOST_SCORES // max(math.prod(shape[1:]), 1))


def _fused(arguments: Mapping[str, Any], output: Tensor) -> Attended:
    query, key = arguments["query"], arguments["key"]
    if key.shape[1] != query.shape[1]:  # grouped queries share a key
        key = key.repeat_interleave(query.shape[1] // key.shape[1], 1)
    few = _samples(torch.Size((*query.shape[:3], key.shape[2])))
    query, key = query[:few].float(), key[:few].float()
    given = arguments.get("scale")
    scores = query @ key.mT * (1 / math.sqrt(query.shape[-1]) if given is None else given)
    allowed = _allowed(arguments, scores, few)
    mask = arguments.get("attn_mask")
    if mask is not None and mask.dtype is not torch.bool:
        mask = mask[:few] if mask.dim() == _FUSED and mask.shape[0] > 1 else mask
        scores = scores + mask
    weights = torch.softmax(scores.masked_fill(~allowed, float("-inf")), -1)
    weights = weights.masked_fill(~allowed.any(-1, keepdim=True), 0)
    return Attended(weights=weights, allowed=allowed.sum(-1), output=output[:few].float())


def _allowed(arguments: Mapping[str, Any], scores: Tensor, few: int) -> Tensor:
    """Return which keys each query may attend to, shaped as the scores."""
    allowed = torch.ones_like(scores, dtype=torch.bool)
    if arguments.get("is_causal"):
        allowed = allowed.tril()
    mask = arguments.get("attn_mask")
    if mask is None:
        return allowed
    seen: Tensor = mask if mask.dtype is torch.bool else mask > torch.finfo(mask.dtype).min / 2
    if seen.dim() == _FUSED and seen.shape[0] > 1:
        seen = seen[:few]
    return allowed & seen
