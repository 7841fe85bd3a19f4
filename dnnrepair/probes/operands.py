"""Measure how large the two sides of an addition are."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from dnnrepair.evidence.operands import Operands
from dnnrepair.probe import as_rows, probe
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from dnnrepair.probe import Call
    from dnnrepair.sites import Site, Sites


@probe("operands")
class OperandsProbe:
    """Sums of squares of both operands and of the sum, where two computed values are added."""

    yields: ClassVar[type] = Operands
    sketch_only: ClassVar[bool] = True

    def watches(self, site: Site, sites: Sites) -> bool:
        """Watch additions of two values of the same shape."""
        if site.kind is not Kind.ADD or len(site.inputs) != 2:  # noqa: PLR2004 - two operands
            return False
        return all(sites[name].shape == site.shape for name in site.inputs)

    def measure(self, call: Call) -> Operands:
        """Return the sums of one batch."""
        alpha = call.arguments.get("alpha", 1)
        first, second = call.arguments["input"], call.arguments["other"] * alpha
        return Operands(
            count=len(call.rows),
            first=_squares(first, call),
            second=_squares(second, call),
            total=_squares(call.output, call),
        )


def _squares(values: Tensor, call: Call) -> NDArray[np.float64]:
    rows = as_rows(values, call.site.unit_dim, call.batch.mask)
    return rows.square().sum(0, dtype=torch.float64).cpu().numpy()
