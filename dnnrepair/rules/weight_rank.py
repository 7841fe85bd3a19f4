"""WGT002: weight matrices of almost no rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.backward import reader
from dnnrepair.evidence.spectrum import Spectrum
from dnnrepair.evidence.summary import TensorSummary
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.observation import Observations, TensorInfo


@rule("WGT002")
@dataclass(frozen=True, slots=True)
class WeightRank:
    """Weight matrices that pass on little more than one number.

    ## What it measures
    The stable rank (squared Frobenius over squared spectral norm) of each matrix with at least 16
    rows and columns, and the share of singular values below a millionth of the largest. Kernels are
    unfolded as (out, in * kernel); gates and packed attention projections are separate matrices.

    ## Why it matters
    A matrix of stable rank near 1 projects everything onto one direction: the layer is a bottleneck
    of width one, whatever its size.

    ## What to do
    Draw the layer again and train on; or, if accuracy is as wanted, factor the layer into two small
    ones and save the weights.

    ## Limits
    Rows and columns of zeros (pruned) are left out. Of sides beyond 1024 by 8192, evenly spaced
    rows and columns are used. Query and key projections are judged whole, not per head.

    ## Source
    Rudelson and Vershynin 2007; limits measured: healthy matrices have at least 2.3.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "weight-rank"
    needs: ClassVar[frozenset[type]] = frozenset({Spectrum})
    wants: ClassVar[frozenset[type]] = frozenset({TensorSummary})
    min_stable_rank: float = 1.5  # at least 1
    negligible: float = 1e-6  # of the largest singular value, in [0, 1]
    max_negligible_share: float = 0.5  # of singular values, in [0, 1]
    min_side: int = 16  # rows and columns

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield a finding per weight tensor that has collapsed."""
        for name, spectrum in seen.of(Spectrum).items():
            info = seen.tensors[name]
            summary = seen.of(TensorSummary).get(name)
            if summary and summary.low_bit:
                reason = f"{name!r} is quantized to few levels"
                yield Skip(code=self.code, reason=reason, layer=info.layer)
            elif not info.buffer:
                yield from self._judge(seen, info, spectrum)

    def _judge(self, seen: Observations, info: TensorInfo, spectrum: Spectrum) -> Iterator[Finding]:
        large = [m for m in spectrum.matrices if m.short >= self.min_side and m.squares[0] > 0]
        if not large:
            return
        rank = min(matrix.stable_rank for matrix in large)
        share = max(matrix.negligible(self.negligible) for matrix in large)
        sampled = ("rows or columns were left out for speed",) if spectrum.sampled else ()
        if rank < self.min_stable_rank:
            said = f"{info.name!r} has a stable rank of {rank:.2f} of {large[0].short}"
            yield self._finding(seen, info, said, (rank, self.min_stable_rank, "1"), sampled)
        elif share > self.max_negligible_share:
            said = f"{share:.0%} of the singular values of {info.name!r} are negligible"
            numbers = share, self.max_negligible_share, "share"
            yield self._finding(seen, info, said, numbers, sampled)

    def _finding(
        self,
        seen: Observations,
        info: TensorInfo,
        message: str,
        numbers: tuple[float, float, str],
        evidence: tuple[str, ...],
    ) -> Finding:
        site = reader(seen, info)
        return Finding(
            code=self.code,
            severity=Severity.WARNING,
            layer=site.layer if site else info.layer,
            message=message,
            measured=numbers[0],
            limit=numbers[1],
            healthy="stable rank at least 2.3",
            unit=numbers[2],
            where=site.where if site else None,
            site=info.site,
            evidence=evidence,
            remedies=(
                Remedy(
                    advice="Draw the layer's weights again and train on.",
                    code="import torch\n\n"
                    f"torch.nn.init.kaiming_normal_(model.get_parameter({info.name!r}))",
                ),
                Remedy(advice="If accuracy is as wanted, factor the layer into two small ones."),
            ),
        )
