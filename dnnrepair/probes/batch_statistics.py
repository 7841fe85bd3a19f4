"""Measure what batch norms would compute from the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from dnnrepair.evidence.batch_statistics import BatchStatistics
from dnnrepair.probe import as_rows, probe

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.probe import Call
    from dnnrepair.sites import Site, Sites


@probe("batch-statistics")
class BatchStatisticsProbe:
    """Mean and variance per channel of what each batch norm reads, in inference mode."""

    yields: ClassVar[type] = BatchStatistics
    sketch_only: ClassVar[bool] = True

    def watches(self, site: Site, sites: Sites) -> bool:  # noqa: ARG002 - the protocol's
        """Watch batch norms."""
        return site.op == "batch_norm"

    def measure(self, call: Call) -> BatchStatistics:
        """Return the statistics of one batch."""
        return statistics(call.arguments["input"])


def statistics(values: Tensor) -> BatchStatistics:
    """Return the statistics of one batch ``(samples, channels, *space)``."""
    rows = as_rows(values, 1).double()  # a large mean would cost float32 its digits
    mean = rows.mean(0)
    m2 = (rows - mean).square().sum(0)
    variance = (m2 / max(len(rows), 1)).cpu().numpy()
    return BatchStatistics(
        count=len(rows),
        mean=mean.cpu().numpy(),
        m2=m2.cpu().numpy(),
        batches=1,
        variance_sum=variance,
        variance_square_sum=variance**2,
    )
