"""BN004: a network that answers differently in training and in inference mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.batch_norms import why_not_judged
from dnnrepair.evidence.mode_gap import ModeGap
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule
from dnnrepair.rules.unused_statistics import RE_ESTIMATE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.observation import Observations


@rule("BN004")
@dataclass(frozen=True, slots=True)
class ModeDifference:
    """Network that answers differently with running statistics and with those of the batch.

    ## What it measures
    Accuracy with running statistics (as in inference) and with the statistics of each batch of 128
    (as in training), on the same samples and without dropout; and per norm layer the similarity of
    its output in the two modes (linear CKA).

    ## Why it matters
    Training optimized the one, users get the other. Where the gap is wide, the accuracy seen in
    training is not the accuracy in use.

    ## What to do
    Re-estimate the running statistics (see BN001 and BN002); do not put dropout before batch norm.

    ## Limits
    Only batch norms count: dropout alone explains a gap in training mode. If inference mode is the
    better one, or if the labels show no gap, it is noted only. Batches in which one class
    dominates have statistics of their own.

    ## Source
    Linear CKA: Kornblith, Norouzi, Lee and Hinton 2019, arXiv:1905.00414; mode switch: Ben Braiek
    and Khomh 2023 (TheDeepChecker); healthy networks: gap at most 0.024.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "mode-gap"
    needs: ClassVar[frozenset[type]] = frozenset({ModeGap})
    wants: ClassVar[frozenset[type]] = frozenset()
    max_gap: float = 0.05  # of accuracy, in [0, 1]
    min_similarity: float = 0.75  # linear CKA, in [0, 1]

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield at most one finding about the network."""
        reason = why_not_judged(seen)
        gap = seen.whole(ModeGap)
        if gap is None or reason:
            yield Skip(code=self.code, reason=reason or "the two modes were not compared")
            return
        drop = next((n for n, cka in gap.similarity.items() if cka < self.min_similarity), "")
        if gap.gain is not None and abs(gap.gain) > self.max_gap:
            yield self._by_accuracy(seen, gap, gap.gain, drop)
        elif drop:
            yield self._by_similarity(seen, gap, drop)

    def _by_accuracy(self, seen: Observations, gap: ModeGap, gain: float, drop: str) -> Finding:
        return self._finding(
            seen,
            Severity.WARNING if gain > 0 else Severity.NOTE,
            drop,
            f"accuracy {gap.running_accuracy:.3f} with running statistics, "
            f"{gap.batch_accuracy:.3f} with those of each batch",
            (abs(gain), self.max_gap, "gap at most 0.024"),
        )

    def _by_similarity(self, seen: Observations, gap: ModeGap, drop: str) -> Finding:
        value = gap.similarity[drop]
        return self._finding(
            seen,
            Severity.WARNING if gap.gain is None else Severity.NOTE,
            drop,
            f"similarity (CKA) of the two modes falls to {value:.2f}",
            (value, self.min_similarity, "at least 0.75"),
        )

    def _finding(
        self,
        seen: Observations,
        severity: Severity,
        drop: str,
        message: str,
        numbers: tuple[float, float, str],
    ) -> Finding:
        site = seen.sites[drop] if drop else None
        begins = f"the modes first differ there (CKA below {self.min_similarity})"
        dropout = Remedy(advice="Move dropout behind the batch norms.")
        return Finding(
            code=self.code,
            severity=severity,
            layer=site.layer if site else "",
            message=message,
            measured=numbers[0],
            limit=numbers[1],
            healthy=numbers[2],
            where=site.where if site else None,
            site=site.name if site else "",
            evidence=(begins,) if site else (),
            remedies=(RE_ESTIMATE, dropout),
        )
