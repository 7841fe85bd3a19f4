"""Count how often the data look up each row of an embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from dnnrepair.evidence.token_ids import TokenIds
from dnnrepair.probe import probe
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from dnnrepair.probe import Call
    from dnnrepair.sites import Site, Sites


@probe("token-ids")
class TokenIdsProbe:
    """Lookups per row of embeddings that the data index."""

    yields: ClassVar[type] = TokenIds
    sketch_only: ClassVar[bool] = False

    def watches(self, site: Site, sites: Sites) -> bool:
        """Watch embeddings of ids that are an input (positions are not)."""
        return is_indexed_by_data(site, sites)

    def measure(self, call: Call) -> TokenIds:
        """Return the lookups of one batch."""
        rows = len(call.arguments["weight"])
        ids = call.arguments["indices"].reshape(-1).long()
        inside = ids[(ids >= 0) & (ids < rows)]
        return TokenIds(
            uses=torch.bincount(inside, minlength=rows).cpu().numpy(),
            lowest=int(ids.min()) if len(ids) else 0,
            highest=int(ids.max()) if len(ids) else 0,
        )


def is_indexed_by_data(site: Site, sites: Sites) -> bool:
    """Tell whether a site is an embedding whose ids are an input of the network."""
    if site.kind is not Kind.EMBEDDING:
        return False
    sources = [sites.source(site, place) for place in range(len(site.inputs))]
    return any(source is not None and source.kind is Kind.INPUT for source in sources)
