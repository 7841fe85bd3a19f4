"""Measure what batch norms would compute from the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from dnnrepair.evidence.batch_statistics import BatchStatistics
from dnnrepair.probe import probe
from dnnrepair.probes.moments import moments, per_unit

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.probe import Call
    from dnnrepair.sites import Site, Sites


@probe("batch-statistics")
class BatchStatisticsProbe:
    """Mean and variance per channel of what each batch norm reads, in inference mode."""

    yields: ClassVar[type] = BatchStatistics
    sketch_only: ClassVar[bool] = False  # the order of the data is part of what is measured

    def watches(self, site: Site, sites: Sites) -> bool:  # noqa: ARG002 - the protocol's
        """Watch batch norms."""
        return site.op == "batch_norm"

    def measure(self, call: Call) -> BatchStatistics:
        """Return the statistics of one batch."""
        return statistics(call.arguments["input"])


def statistics(values: Tensor) -> BatchStatistics:
    """Return the statistics of one batch ``(samples, channels, *space)``."""
    found = moments(*per_unit(values, 1, None))
    return BatchStatistics(
        count=found.count,
        mean=found.mean,
        m2=found.m2,
        batches=1,
        variance_sum=found.variance,
        variance_square_sum=found.variance**2,
    )
