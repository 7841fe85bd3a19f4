"""Measure how alike the tokens of a sequence are along the residual stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch.nn import functional as F

from dnnrepair.evidence.token_cosine import TokenCosine
from dnnrepair.probe import probe
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from dnnrepair.probe import Call
    from dnnrepair.sites import Site, Sites


@probe("token-cosine")
class TokenCosineProbe:
    """Mean cosine between the tokens of a sequence, at additions in attention networks."""

    yields: ClassVar[type] = TokenCosine
    sketch_only: ClassVar[bool] = True

    def watches(self, site: Site, sites: Sites) -> bool:
        """Watch additions ``(batch, tokens, features)`` of networks with attention."""
        rank = len(site.shape)
        if site.kind is not Kind.ADD or rank != 3 or len(site.inputs) < 2:  # noqa: PLR2004
            return False
        return bool(sites.of(Kind.ATTENTION, Kind.SOFTMAX))

    def measure(self, call: Call) -> TokenCosine:
        """Return the cosines of one batch."""
        values, samples = call.output, len(call.batch)
        if values.shape[0] != samples and values.shape[1] == samples:
            values = values.transpose(0, 1)  # (tokens, batch, features)
        tokens = F.normalize(values.float(), dim=-1)
        mask = call.batch.mask
        kept = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        if mask is not None and mask.shape == kept.shape:
            kept = mask
        count = kept.sum(1)
        summed = (tokens * kept.unsqueeze(-1)).sum(1)  # (batch, features)
        several = count > 1  # |sum|^2 = n + sum over pairs of distinct tokens
        n = count[several].float()
        cosine = (summed[several].square().sum(-1) - n) / (n * (n - 1))
        return TokenCosine(sequences=int(several.sum()), total=float(cosine.sum()))
