"""WGT003: the shape of a weight matrix's spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.backward import reader
from dnnrepair.evidence.spectrum import Spectrum
from dnnrepair.evidence.summary import TensorSummary
from dnnrepair.finding import Finding, Severity, Skip, rule
from dnnrepair.observation import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.evidence.spectrum import Matrix
    from dnnrepair.observation import Observations, TensorInfo


@rule("WGT003")
@dataclass(frozen=True, slots=True)
class WeightSpectrum:
    """Weight matrices whose spectrum is unusual for a trained network.

    ## What it measures
    The exponent alpha of a power law fitted to the squared singular values by maximum likelihood,
    where it covers at least 50 of them and fits well (Kolmogorov-Smirnov distance under 0.1); and
    how many lie more than tenfold beyond what random weights of this variance have.

    ## Why it matters
    In large well-trained networks alpha was found between 2 and 6; below has been associated with
    overfitting, above with layers that have learned little. Single large spikes may be noise that
    training has blown up.

    ## What to do
    Look at the layer's other findings first; this number alone is no reason to change anything.

    ## Limits
    Never more than a note: not calibrated. Healthy small networks read 2.5 to 8.7, Gaussian
    matrices 11.6. Fresh networks are left out.

    ## Source
    Martin, Peng and Mahoney 2021, doi:10.1038/s41467-021-24025-8 (WeightWatcher); Clauset, Shalizi
    and Newman 2009; Marchenko and Pastur 1967.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "weight-spectrum"
    needs: ClassVar[frozenset[type]] = frozenset({Spectrum})
    wants: ClassVar[frozenset[type]] = frozenset({TensorSummary})
    min_values: int = 50  # singular values that a fit must cover, at least 2
    max_distance: float = 0.1  # Kolmogorov-Smirnov, in [0, 1]
    min_alpha: float = 2.0  # above 1
    max_alpha: float = 6.0  # above min_alpha
    max_spike: float = 8.0  # squared singular value over the edge of random weights, above 1

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield a note per weight tensor with an unusual spectrum."""
        if seen.facts.phase is Phase.INIT:
            yield Skip(code=self.code, reason="means nothing before training")
            return
        for name, spectrum in seen.of(Spectrum).items():
            info = seen.tensors[name]
            summary = seen.of(TensorSummary).get(name)
            if summary and summary.low_bit:
                reason = f"{name!r} is quantized to few levels"
                yield Skip(code=self.code, reason=reason, layer=info.layer)
                continue
            large = [m for m in spectrum.matrices if m.short >= self.min_values]
            found = [note for matrix in large for note in self._judge(matrix)]
            if found:
                yield self._finding(seen, info, found)

    def _judge(self, matrix: Matrix) -> Iterator[tuple[float, float, str]]:
        if not matrix.squares[0] > 0:
            return
        spikes = matrix.squares > self.max_spike * matrix.edge
        if spikes.any():
            ratio = float(matrix.squares[0]) / matrix.edge
            said = (
                f"{int(spikes.sum())} spikes, the largest {ratio:.3g} times beyond random weights"
            )
            yield ratio, self.max_spike, said
        alpha, distance = matrix.power_law(self.min_values)
        if distance < self.max_distance and not self.min_alpha <= alpha <= self.max_alpha:
            limit = self.min_alpha if alpha < self.min_alpha else self.max_alpha
            yield alpha, limit, f"power-law exponent {alpha:.2f} (distance {distance:.2f})"

    def _finding(
        self, seen: Observations, info: TensorInfo, found: list[tuple[float, float, str]]
    ) -> Finding:
        site = reader(seen, info)
        return Finding(
            code=self.code,
            severity=Severity.NOTE,
            layer=site.layer if site else info.layer,
            message=f"unusual spectrum of {info.name!r}: {found[0][2]}",
            measured=found[0][0],
            limit=found[0][1],
            healthy="exponent 2 to 6 in large networks, 2.5 to 8.7 measured in small ones",
            where=site.where if site else None,
            site=info.site,
            evidence=tuple(said for _, _, said in found[1:]),
        )
