"""Measure how the units of each interesting output vary together."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from dnnrepair.evidence.covariance import Covariance
from dnnrepair.probe import probe
from dnnrepair.probes.moments import per_unit, spaced_rows
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from dnnrepair.probe import Call
    from dnnrepair.sites import Site, Sites

_WATCHED = frozenset({Kind.AFFINE, Kind.NORM, Kind.RECURRENT, Kind.ADD})
UNITS = 512  # examined per output, evenly chosen
ROWS = 2048  # examined per batch of the sketch, evenly spaced


@probe("covariance")
class CovarianceProbe:
    """Covariance of the outputs of layers and sums."""

    yields: ClassVar[type] = Covariance
    sketch_only: ClassVar[bool] = True

    def watches(self, site: Site, sites: Sites) -> bool:  # noqa: ARG002 - the protocol's
        """Watch layers and sums with at least two units."""
        return site.kind in _WATCHED and site.width > 1

    def measure(self, call: Call) -> Covariance:
        """Return the covariance of one batch."""
        values, unit_dim = per_unit(call.output, call.site.unit_dim, call.batch.mask)
        rows = spaced_rows(values, unit_dim, ROWS)  # (rows, units)
        width = rows.shape[1]
        step = -(-width // UNITS)
        rows = rows[:, ::step]
        mean = rows.double().mean(0) if len(rows) else rows.new_zeros(rows.shape[1]).double()
        centered = rows - mean.to(rows.dtype)
        # The rounded mean leaves a rest; the sum around the exact mean is less by its square.
        rest = (centered.double().mean(0) if len(rows) else mean).cpu().numpy()
        comoment = (centered.mT @ centered).double().cpu().numpy()
        return Covariance(
            rows=len(rows),
            width=width,
            units=torch.arange(0, width, step).numpy(),
            mean=mean.cpu().numpy(),
            comoment=comoment - len(rows) * rest[:, None] * rest[None, :],
        )
