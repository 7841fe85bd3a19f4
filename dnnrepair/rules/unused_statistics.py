"""BN001: batch norms that run on initial statistics, or on none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dnnrepair.batch_norms import batch_norms, why_not_judged
from dnnrepair.evidence.mode_gap import ModeGap
from dnnrepair.evidence.vectors import Vector
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.batch_norms import BatchNorm
    from dnnrepair.observation import Observations

RE_ESTIMATE = Remedy(
    advice="Re-estimate the running statistics on training data (`batches`); weights stay as is.",
    code="import torch\n\n"
    "# batches: inputs of the training data, shuffled, 128 and more at a time\n"
    "norms = [m for m in model.modules() if getattr(m, 'running_mean', None) is not None]\n"
    "for norm in norms:\n"
    "    norm.reset_running_stats()\n"
    "    norm.momentum = None  # cumulative average\n"
    "model.train()\n"
    "with torch.no_grad():\n"
    "    for x in batches:\n"
    "        model(x)\n"
    "model.eval()",
)


@rule("BN001")
@dataclass(frozen=True, slots=True)
class UnusedStatistics:
    """Batch norm of a trained network whose running statistics were never updated.

    ## What it measures
    Whether the running mean is 0 and the running variance 1 in every channel, as at creation;
    whether the count of batches seen is 0; and whether the layer keeps no running statistics.

    ## Why it matters
    In inference mode the layer then does not normalize what it was trained to normalize: the
    network computes something else than in training. Without running statistics an answer depends
    on the other samples of its batch.

    ## What to do
    Re-estimate the statistics on training data; the weights stay as they are.

    ## Limits
    Skipped for untrained networks. A count of 0 beside real statistics is only noted: old
    checkpoints carry no count. If batch statistics do not improve the accuracy, the layer may have
    been folded into its neighbors, and the finding is a warning.

    ## Source
    Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 2.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "unused-running-statistics"
    needs: ClassVar[frozenset[type]] = frozenset({Vector})
    wants: ClassVar[frozenset[type]] = frozenset({ModeGap})
    min_gain: float = 0.01  # accuracy that batch statistics must win for an error, in [0, 1]

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield a finding per batch norm without statistics of the data."""
        reason = why_not_judged(seen)
        uncounted: list[BatchNorm] = []
        for norm in batch_norms(seen):
            if reason:
                yield Skip(code=self.code, reason=reason, layer=norm.layer)
            elif norm.mean is None or norm.variance is None:
                message = "keeps no running statistics: an answer depends on its whole batch"
                yield self._finding(norm, Severity.NOTE, message, ())
            elif (norm.mean == 0).all() and (norm.variance == 1).all():
                message = (
                    "running mean is 0 and running variance 1 in every channel, as at creation"
                )
                yield self._finding(norm, self._severity(seen), message, (RE_ESTIMATE,))
            elif norm.tracked == 0:
                uncounted.append(norm)
        if uncounted:
            message = (
                f"{len(uncounted)} batch norms claim to have seen no batch, "
                "but their statistics are not the initial ones"
            )
            yield self._finding(uncounted[0], Severity.NOTE, message, ())

    def _severity(self, seen: Observations) -> Severity:
        gap = seen.whole(ModeGap)
        harmless = gap is not None and gap.gain is not None and gap.gain < self.min_gain
        return Severity.WARNING if harmless else Severity.ERROR

    def _finding(
        self, norm: BatchNorm, severity: Severity, message: str, remedies: tuple[Remedy, ...]
    ) -> Finding:
        return Finding(
            code=self.code,
            severity=severity,
            layer=norm.layer,
            message=message,
            measured=norm.tracked if norm.tracked is not None else float(np.nan),
            limit=1,
            healthy="at least 1 batch",
            unit="batches",
            where=norm.where,
            site=norm.name,
            remedies=remedies,
        )
