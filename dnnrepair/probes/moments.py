"""Measure count, mean, spread and range of every interesting output, per unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from dnnrepair.evidence.moments import Moments
from dnnrepair.probe import probe
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.probe import Call
    from dnnrepair.sites import Site, Sites

_WATCHED = frozenset(
    {Kind.INPUT, Kind.AFFINE, Kind.NORM, Kind.RECURRENT, Kind.EMBEDDING, Kind.ADD}
)


@probe("moments")
class MomentsProbe:
    """Per-unit moments of the places where values take their scale, and of all pre-activations."""

    yields: ClassVar[type] = Moments
    sketch_only: ClassVar[bool] = False

    def watches(self, site: Site, sites: Sites) -> bool:
        """Watch affine, norm, recurrent, embedding, add and input sites, and what activations read."""
        if not site.shape:
            return False
        readers = sites.readers(site)
        return site.kind in _WATCHED or any(r.kind is Kind.ACTIVATION for r in readers)

    def measure(self, call: Call) -> Moments:
        """Return the moments of one batch."""
        values, dims = per_unit(call)
        count = values.numel() // max(values.shape[call.site.unit_dim], 1) if dims else 1
        return moments(values, dims, count)


def per_unit(call: Call) -> tuple[Tensor, list[int]]:
    """Return a call's output as floats, and the dimensions over which one unit's values lie.

    Padding is left out, which needs a copy as ``(rows, units)``; without padding nothing is copied.
    """
    values, unit_dim = call.output, call.site.unit_dim
    if call.batch.mask is not None:
        values, unit_dim = call.rows, -1
    if not values.is_floating_point():
        values = values.float()
    if values.dtype in (torch.float16, torch.bfloat16):
        values = values.float()
    return values, [d for d in range(values.dim()) if d != unit_dim % values.dim()]


def moments(values: Tensor, dims: list[int], count: int) -> Moments:
    """Return the moments of ``values`` over ``dims``.

    The spread is summed around a shift near the mean, so that float32 keeps its digits where the
    mean is large against the spread.
    """
    total = values.sum(dims)
    mean = total / max(count, 1)
    low, high = values.amin(dims), values.amax(dims)
    shape = [1 if d in dims else -1 for d in range(values.dim())]
    spread = torch.linalg.vector_norm(values - mean.reshape(shape), dim=dims).double() ** 2
    finite = bool(torch.isfinite(total).all())
    bad = 0 if finite else int((~torch.isfinite(values)).sum())
    return Moments(
        count=count,
        mean=mean.double().cpu().numpy(),
        m2=spread.cpu().numpy(),
        low=low.double().cpu().numpy(),
        high=high.double().cpu().numpy(),
        nonfinite=bad,
    )
