"""NUM002: weights that are denormal, far out, or on a coarse grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.backward import reader
from dnnrepair.evidence.summary import TensorSummary
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule
from dnnrepair.observation import Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.observation import Observations, TensorInfo

_JUDGED = (Role.WEIGHT, Role.RECURRENT, Role.EMBEDDING)
FEWEST = 16  # numbers from which a median is worth comparing with


@rule("NUM002")
@dataclass(frozen=True, slots=True)
class ExtremeWeights:
    """Weights that are denormal, far from all others, or on a coarse grid.

    ## What it measures
    Per weight tensor: the share of denormal numbers (other than 0, but smaller than the type's
    smallest normal number); the largest magnitude over the median magnitude of those that are not
    0; and whether the numbers lie on an even grid (quantized weights: a note).

    ## Why it matters
    Denormal numbers are as good as zero and slow on many processors. A single weight that is ten
    thousand times the others decides alone, and ruins quantization.

    ## What to do
    Write 0 for denormal weights, which changes nothing; look at the outlier's row before clipping
    it.

    ## Limits
    Zeros are never counted (pruning, padding). Tensors of fewer than 16 numbers are left out.

    ## Source
    IEEE 754-2019, section 3.4 (subnormal numbers); limits from healthy networks, which have none.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "extreme-weights"
    needs: ClassVar[frozenset[type]] = frozenset({TensorSummary})
    wants: ClassVar[frozenset[type]] = frozenset()
    max_tiny_share: float = 0.01  # of denormal weights, in [0, 1]
    warn_tiny_share: float = 0.1  # of denormal weights, in [0, 1]
    max_outlier: float = 1e4  # largest over median magnitude, above 1

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield a finding per weight tensor and symptom."""
        for name, summary in seen.of(TensorSummary).items():
            info = seen.tensors[name]
            if info.role not in _JUDGED or summary.count < FEWEST:
                continue
            if summary.nonfinite:
                yield Skip(code=self.code, reason="it is not finite; see NUM001", layer=info.layer)
                continue
            yield from self._tiny(seen, info, summary)
            yield from self._outlier(seen, info, summary)
            if summary.low_bit:
                yield self._finding(
                    seen,
                    info,
                    f"{name!r} has only {summary.levels} different values on an even grid: "
                    "quantized, so rules about initialization and weights leave it out",
                    measured=summary.unique_share,
                    limit=1e-3,
                    unit="share",
                )

    def _tiny(
        self, seen: Observations, info: TensorInfo, summary: TensorSummary
    ) -> Iterator[Finding]:
        share = summary.tiny_share
        if share > self.max_tiny_share:
            yield self._finding(
                seen,
                info,
                f"{share:.1%} of {info.name!r} are denormal numbers, as good as zero",
                measured=share,
                limit=self.max_tiny_share,
                unit="share",
                severity=Severity.WARNING if share > self.warn_tiny_share else Severity.NOTE,
                remedy=Remedy(
                    advice="Write 0 for them, which changes nothing, and look for the cause: "
                    "weight decay on units that get no gradient.",
                    code=f"import torch\n\nweight = model.get_parameter({info.name!r})\n"
                    "with torch.no_grad():\n"
                    "    weight[weight.abs() < torch.finfo(weight.dtype).tiny] = 0",
                ),
            )

    def _outlier(
        self, seen: Observations, info: TensorInfo, summary: TensorSummary
    ) -> Iterator[Finding]:
        if summary.median_abs > 0 and summary.max_abs > self.max_outlier * summary.median_abs:
            yield self._finding(
                seen,
                info,
                f"the largest weight of {info.name!r}, {summary.max_abs:.3g}, is "
                f"{summary.max_abs / summary.median_abs:.3g} times the median magnitude",
                measured=summary.max_abs / summary.median_abs,
                limit=self.max_outlier,
                remedy=Remedy(
                    advice="Look at the rows that hold the largest weights, and clip them only if "
                    "accuracy on data does not fall.",
                    code=f"weight = model.get_parameter({info.name!r})\n"
                    "print(weight.detach().abs().flatten(1).amax(1).topk(1))",
                ),
            )

    def _finding(
        self,
        seen: Observations,
        info: TensorInfo,
        message: str,
        *,
        measured: float,
        limit: float,
        unit: str = "1",
        severity: Severity = Severity.NOTE,
        remedy: Remedy | None = None,
    ) -> Finding:
        site = reader(seen, info)
        return Finding(
            code=self.code,
            severity=severity,
            layer=site.layer if site else info.layer,
            message=message,
            measured=measured,
            limit=limit,
            healthy="no denormal weights, no weight beyond 10,000 times the median",
            unit=unit,
            where=site.where if site else None,
            site=info.site,
            remedies=(remedy,) if remedy else (),
        )
