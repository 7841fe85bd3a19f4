"""Collect the vectors of embeddings: those that the data use, or evenly spaced ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from dnnrepair.evidence.embedding_rows import MOST, EmbeddingRows, first_of
from dnnrepair.observation import Role
from dnnrepair.probe import probe
from dnnrepair.probes.token_ids import is_indexed_by_data

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.observation import TensorInfo
    from dnnrepair.probe import Call
    from dnnrepair.sites import Site, Sites


@probe("embedding-rows")
class UsedRowsProbe:
    """Rows that the sketch looks up; the place is the operation."""

    yields: ClassVar[type] = EmbeddingRows
    sketch_only: ClassVar[bool] = True

    def watches(self, site: Site, sites: Sites) -> bool:
        """Watch embeddings of ids that are an input."""
        return is_indexed_by_data(site, sites)

    def measure(self, call: Call) -> EmbeddingRows:
        """Return the rows that one batch looks up, the padding row left out."""
        weight = call.arguments["weight"].detach()
        ids = call.arguments["indices"].reshape(-1).long().unique()
        padding = call.site.setting("padding_idx", -1)
        ids = ids[(ids >= 0) & (ids < len(weight)) & (ids != padding)]
        kept = torch.from_numpy(first_of(ids.cpu().numpy())).to(ids.device)
        return _rows(weight, ids[kept], used=True)


@probe("embedding-sample")
class SpacedRowsProbe:
    """Evenly spaced rows of every embedding, for networks without data; the place is the tensor."""

    yields: ClassVar[type] = EmbeddingRows

    def measure_tensor(self, info: TensorInfo, value: Tensor) -> EmbeddingRows | None:
        """Return the rows, None of other tensors."""
        if info.role is not Role.EMBEDDING or value.dim() != 2 or not value.is_floating_point():  # noqa: PLR2004
            return None
        step = -(-len(value) // MOST) or 1
        return _rows(value, torch.arange(0, len(value), step, device=value.device), used=False)


def _rows(weight: Tensor, ids: Tensor, *, used: bool) -> EmbeddingRows:
    vectors = weight.detach()[ids].float().cpu().numpy()
    return EmbeddingRows(ids=ids.cpu().numpy(), vectors=vectors, used=used)
