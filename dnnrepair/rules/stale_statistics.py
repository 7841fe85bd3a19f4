"""BN002: batch norms whose running statistics are not those of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dnnrepair.batch_norms import batch_norms, why_not_judged
from dnnrepair.evidence.batch_statistics import BatchStatistics
from dnnrepair.evidence.mode_gap import ModeGap
from dnnrepair.evidence.vectors import Vector
from dnnrepair.finding import Finding, Severity, Skip, rule
from dnnrepair.preactivations import too_few
from dnnrepair.rules.unused_statistics import RE_ESTIMATE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.batch_norms import BatchNorm
    from dnnrepair.observation import Observations


@rule("BN002")
@dataclass(frozen=True, slots=True)
class StaleStatistics:
    """Batch norm whose running statistics are not those of the data.

    ## What it measures
    Per channel the divergence KL(data || running) = (v/rv + (m-rm)^2/rv - 1 - ln(v/rv)) / 2 between
    the Gaussians of the data's mean and variance and of the running ones, on inputs in inference
    mode; the layer's value is the median over its channels.

    ## Why it matters
    The layer then normalizes with the wrong mean and scale, and everything after it sees values it
    was not trained on.

    ## What to do
    Re-estimate the statistics as a cumulative average over training data: exact and safe to try.
    If the diagnosis data are not like the training data, that is the fault to look into.

    ## Limits
    Skipped for untrained networks. One layer's fault shifts what all later ones read, so a later
    layer is reported only if it is stale with batch statistics before it too. It is an error only
    if batch statistics improve the accuracy (or there are no labels), and below the error limit
    only a note if they make it worse.

    ## Source
    Ioffe and Szegedy 2015, arXiv:1502.03167; healthy trained networks: at most 0.001.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "stale-running-statistics"
    needs: ClassVar[frozenset[type]] = frozenset({BatchStatistics, Vector})
    wants: ClassVar[frozenset[type]] = frozenset({ModeGap})
    warn_divergence: float = 0.1  # nats, above 0
    error_divergence: float = 1.0  # nats, above 0
    min_gain: float = 0.01  # accuracy that batch statistics must win for an error, in [0, 1]

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield a finding per layer where staleness begins."""
        reason = why_not_judged(seen)
        stale: list[tuple[BatchNorm, float]] = []
        for norm in batch_norms(seen):
            obstacle = reason or _obstacle(norm)
            if obstacle:
                yield Skip(code=self.code, reason=obstacle, layer=norm.layer)
                continue
            value = _median(norm)
            if value > self.warn_divergence:
                stale.append((norm, value))
        gap = seen.whole(ModeGap)
        roots = [place for place, (norm, _) in enumerate(stale) if self._is_root(norm, place, gap)]
        for place in roots:
            norm, value = stale[place]
            yield self._finding(norm, value, gap, len(stale) - len(roots) if place == 0 else 0)

    def _is_root(self, norm: BatchNorm, place: int, gap: ModeGap | None) -> bool:
        if place == 0 or gap is None or norm.name not in gap.staleness:
            return True
        return gap.staleness[norm.name] > self.warn_divergence

    def _finding(
        self, norm: BatchNorm, value: float, gap: ModeGap | None, downstream: int
    ) -> Finding:
        channels = norm.divergence
        units = () if channels is None else np.flatnonzero(channels > self.warn_divergence).tolist()
        later = (f"{downstream} later batch norms read shifted values in consequence",)
        return Finding(
            code=self.code,
            severity=self._severity(value, gap.gain if gap else None),
            layer=norm.layer,
            message=f"running statistics diverge by {value:.3g} nats from those of the data",
            measured=value,
            limit=self.warn_divergence,
            healthy="at most 0.001",
            unit="nats",
            where=norm.where,
            site=norm.name,
            units=tuple(units),
            evidence=(*_accuracies(gap), *(later if downstream else ())),
            remedies=(RE_ESTIMATE,),
        )

    def _severity(self, value: float, gain: float | None) -> Severity:
        if value > self.error_divergence:
            helps = gain is None or gain >= self.min_gain
            return Severity.ERROR if helps else Severity.WARNING
        return Severity.NOTE if gain is not None and gain < -self.min_gain else Severity.WARNING


def _obstacle(norm: BatchNorm) -> str:
    if norm.mean is None or norm.variance is None:
        return "it keeps no running statistics; see BN001"
    if norm.data is None:
        return "its input was not measured"
    if not np.isfinite(_median(norm)):
        return "its input or its statistics are not finite; see NUM001"
    return too_few(norm.data.count)


def _median(norm: BatchNorm) -> float:
    found = norm.divergence
    return float(np.median(found)) if found is not None and len(found) else float("nan")


def _accuracies(gap: ModeGap | None) -> tuple[str, ...]:
    if gap is None or gap.gain is None:
        return ()
    one, two = gap.running_accuracy, gap.batch_accuracy
    return (f"accuracy {one:.3f} with running statistics, {two:.3f} with those of each batch",)
