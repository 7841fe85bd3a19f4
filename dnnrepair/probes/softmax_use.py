"""Measure how sharp each softmax inside the network is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import torch

from dnnrepair.attention import is_attention
from dnnrepair.evidence.softmax_use import SoftmaxUse
from dnnrepair.probe import as_rows, probe

if TYPE_CHECKING:
    from dnnrepair.probe import Call
    from dnnrepair.sites import Site, Sites


@probe("softmax-use")
class SoftmaxUseProbe:
    """Mean normalized entropy of softmaxes that are neither attention nor the output."""

    yields: ClassVar[type] = SoftmaxUse
    sketch_only: ClassVar[bool] = True

    def watches(self, site: Site, sites: Sites) -> bool:
        """Watch softmaxes whose values something other than attention reads."""
        readers = sites.readers(site)
        attends = any(is_attention(reader, sites) for reader in readers)
        return site.op == "softmax" and bool(readers) and not attends

    def measure(self, call: Call) -> SoftmaxUse:
        """Return the sum of entropies of one batch."""
        dim = int(call.site.setting("dim", -1))
        rows = as_rows(call.output, dim, call.batch.mask).double()  # (rows, choices)
        if rows.shape[1] < 2:  # noqa: PLR2004 - a single choice has no entropy
            return SoftmaxUse(rows=0, entropy=0.0)
        share = torch.special.entr(rows).sum(1) / math.log(rows.shape[1])
        return SoftmaxUse(rows=len(rows), entropy=float(share.sum()))
