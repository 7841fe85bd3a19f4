"""BN005: batch statistics that differ from batch to batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.batch_norms import batch_norms
from dnnrepair.evidence.batch_statistics import BatchStatistics
from dnnrepair.evidence.vectors import Vector
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.observation import Observations


@rule("BN005")
@dataclass(frozen=True, slots=True)
class BatchVariance:
    """Batch norm whose batch statistics differ widely from batch to batch.

    ## What it measures
    The variance of each channel within a batch of 128, and how much it differs between batches:
    standard deviation over mean, median over the channels.

    ## Why it matters
    In training the layer's output then depends on the company a sample is in, and the running
    statistics describe no batch at all. Small training batches have the same effect.

    ## What to do
    Larger or synchronized batches, GroupNorm, or frozen statistics.

    ## Limits
    The batch size of training is not known here; what is measured is the data's own unrest.

    ## Source
    Wu and He 2018, arXiv:1803.08494 (batch norm degrades below 8 samples a batch).
    """

    code: ClassVar[str]
    name: ClassVar[str] = "unsteady-batch-statistics"
    needs: ClassVar[frozenset[type]] = frozenset({BatchStatistics})
    wants: ClassVar[frozenset[type]] = frozenset({Vector})
    max_unrest: float = 0.5  # std over mean of the variance within a batch, above 0
    min_batches: int = 3  # to speak of a spread, at least 2

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield a finding per unsteady batch norm."""
        for norm in batch_norms(seen):
            data = norm.data
            if data is None or data.batches < self.min_batches:
                reason = f"needs {self.min_batches} batches of 128 samples"
                yield Skip(code=self.code, reason=reason, layer=norm.layer)
            elif data.unrest > self.max_unrest:
                yield Finding(
                    code=self.code,
                    severity=Severity.NOTE,
                    layer=norm.layer,
                    message=f"the variance within a batch differs by {100 * data.unrest:.0f} % "
                    "from batch to batch",
                    measured=data.unrest,
                    limit=self.max_unrest,
                    where=norm.where,
                    site=norm.name,
                    remedies=(
                        Remedy(advice="Use larger batches, or GroupNorm in place of BatchNorm."),
                    ),
                )
