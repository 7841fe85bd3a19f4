"""Measure count, mean, spread and range of every interesting output, per unit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import torch

from dnnrepair.evidence.moments import Moments
from dnnrepair.probe import as_rows, probe
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from dnnrepair.probe import Call
    from dnnrepair.sites import Site, Sites

_WATCHED = frozenset({Kind.INPUT, Kind.AFFINE, Kind.NORM, Kind.RECURRENT, Kind.EMBEDDING, Kind.ADD})

SPREAD_ROWS = 2048  # rows per batch from which the spread is measured


@probe("moments")
class MomentsProbe:
    """Per-unit moments of the places where values take their scale, and of all pre-activations."""

    yields: ClassVar[type] = Moments
    sketch_only: ClassVar[bool] = False

    def watches(self, site: Site, sites: Sites) -> bool:
        """Watch where values take their scale, and whatever an activation reads."""
        if not site.shape:
            return False
        readers = sites.readers(site)
        return site.kind in _WATCHED or any(r.kind is Kind.ACTIVATION for r in readers)

    def measure(self, call: Call) -> Moments:
        """Return the moments of one batch."""
        return moments(*per_unit(call.output, call.site.unit_dim, call.batch.mask))


def per_unit(values: Tensor, unit_dim: int, mask: Tensor | None) -> tuple[Tensor, int]:
    """Return an output as floats without padding, and the dimension that counts its units.

    Leaving padding out needs a copy as ``(rows, units)``; without padding nothing is copied.
    """
    if mask is not None:
        values, unit_dim = as_rows(values, unit_dim, mask), -1
    if values.dim() == 1:
        values, unit_dim = values.unsqueeze(-1), -1
    if values.dtype in (torch.float16, torch.bfloat16) or not values.is_floating_point():
        values = values.float()
    return values, unit_dim % values.dim()


def moments(values: Tensor, unit_dim: int) -> Moments:
    """Return the moments of ``values`` per unit of ``unit_dim``.

    Mean, range and finiteness come from every value. The spread comes from about ``SPREAD_ROWS``
    evenly spaced rows and is summed around the mean, so that float32 keeps its digits where the
    mean is large against the spread.
    """
    dims = [d for d in range(values.dim()) if d != unit_dim]
    count = values.numel() // max(values.shape[unit_dim], 1)
    total = values.sum(dims)
    rows = spaced_rows(values, unit_dim, SPREAD_ROWS)
    mean = total / max(count, 1)
    spread = (rows - mean).square_().sum(0) * (count / max(len(rows), 1))
    finite = bool(torch.isfinite(total).all())
    return Moments(
        count=count,
        mean=_array(mean),
        m2=_array(spread),
        low=_array(values.amin(dims)),
        high=_array(values.amax(dims)),
        nonfinite=0 if finite else int((~torch.isfinite(values)).sum()),
    )


def spaced_rows(values: Tensor, unit_dim: int, limit: int) -> Tensor:
    """Return about ``limit`` evenly spaced rows of ``values`` as ``(rows, units)``, all if fewer.

    Of images every sample keeps its share of positions. The step is made coprime to the width of a
    row of pixels, so that it does not stay in one column.
    """
    units_first = values.movedim(unit_dim, 1).flatten(2) if unit_dim != values.dim() - 1 else None
    if units_first is None:
        rows = values.reshape(-1, values.shape[-1])
        return rows[:: _coprime(len(rows) // limit, values.shape[-2] if values.dim() > 2 else 1)]  # noqa: PLR2004
    samples, units, positions = units_first.shape
    step = _coprime(samples * positions // limit, values.shape[-1])
    return units_first[:, :, :: min(step, positions)].movedim(1, -1).reshape(-1, units)


def _coprime(step: int, width: int) -> int:
    step = max(step, 1)
    while math.gcd(step, width) > 1:
        step += 1
    return step


def _array(values: Tensor) -> NDArray[np.float64]:
    return values.double().cpu().numpy()
