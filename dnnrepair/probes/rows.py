"""Find rows of weight matrices that are copies of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch.nn import functional as F

from dnnrepair.evidence.rows import RowCopies
from dnnrepair.observation import Role
from dnnrepair.probe import probe
from dnnrepair.probes.summary import matrices

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.observation import TensorInfo

ROWS = 1024  # compared per block, evenly chosen
COLUMNS = 4096  # looked at, from the first
COSINE = 0.99999
NORM = 1e-5  # relative difference of equal norms


@probe("rows")
class RowProbe:
    """Groups of equal rows of weights and embeddings."""

    yields: ClassVar[type] = RowCopies

    def measure_tensor(self, info: TensorInfo, value: Tensor) -> RowCopies | None:
        """Return the groups, None where rows are no units."""
        if info.role not in (Role.WEIGHT, Role.RECURRENT, Role.EMBEDDING) or value.dim() < 2:  # noqa: PLR2004
            return None
        if not value.is_floating_point() or not value.numel():
            return None
        blocks = matrices(info, value.detach())
        step = -(-blocks.shape[1] // ROWS)
        return RowCopies(
            units=torch.arange(0, blocks.shape[1], step).numpy(),
            height=blocks.shape[1],
            first=torch.stack([_first(b[::step, :COLUMNS].double()) for b in blocks]).cpu().numpy(),
        )


def _first(rows: Tensor) -> Tensor:
    """Return the position of each row's first copy (itself if there is none), -1 for zero rows."""
    norms = rows.norm(dim=1)
    directions = F.normalize(rows, dim=1, eps=1e-300)
    alike = directions @ directions.mT > COSINE
    alike &= (norms[:, None] - norms[None, :]).abs() <= NORM * norms[:, None]
    first = alike.int().argmax(dim=1)
    return torch.where(norms > 0, first, torch.full_like(first, -1))
