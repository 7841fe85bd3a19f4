"""BN003: batch norms that multiply a channel by a huge factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dnnrepair.batch_norms import batch_norms
from dnnrepair.evidence.batch_statistics import BatchStatistics
from dnnrepair.evidence.vectors import Vector
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule
from dnnrepair.observation import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dnnrepair.batch_norms import BatchNorm
    from dnnrepair.observation import Observations

    Floats = NDArray[np.float64]


@rule("BN003")
@dataclass(frozen=True, slots=True)
class NormScale:
    """Batch norm that blows up a channel by a tiny variance or a huge scale.

    ## What it measures
    Per channel the factor abs(gamma) / sqrt(running variance + eps); with data, how large the
    channel comes out, which is that factor times the running standard deviation. A running variance
    far below the layer's median counts where the data do not confirm it. Channels with gamma near 0
    are counted.

    ## Why it matters
    One such channel drowns all others in the next layer.

    ## What to do
    Put the running variance right by re-estimation, or clamp the scale; prune channels of scale 0.

    ## Limits
    A small variance that the data confirm is no fault: rescaling a layer and its batch norm
    together changes nothing.

    ## Source
    Measured: healthy factor at most 2.5, smallest over median variance at least 0.093.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "huge-norm-scale"
    needs: ClassVar[frozenset[type]] = frozenset({Vector})
    wants: ClassVar[frozenset[type]] = frozenset({BatchStatistics})
    max_scale: float = 30.0  # factor, above 0
    min_variance_ratio: float = 1e-3  # running variance over its median, in (0, 1)
    small_variance: float = 1e-3  # only variances below this count as tiny, above 0
    zero_scale: float = 1e-3  # gamma below this is near 0, above 0
    note_zero_share: float = 0.25  # of channels with gamma near 0, in [0, 1]
    outlier: float = 10.0  # size over the layer's median beyond which a huge factor counts, above 1
    disagreement: float = 10.0  # data over running variance beyond which a tiny one is wrong

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield a finding per batch norm with an extreme channel."""
        for norm in batch_norms(seen):
            if norm.variance is None:
                reason = "it keeps no running statistics; see BN001"
                yield Skip(code=self.code, reason=reason, layer=norm.layer)
            elif not (np.isfinite(norm.variance).all() and np.isfinite(norm.scale).all()):
                reason = "its tensors are not finite; see NUM001"
                yield Skip(code=self.code, reason=reason, layer=norm.layer)
            else:
                yield from self._judge(norm, norm.variance, seen)

    def _judge(self, norm: BatchNorm, variance: Floats, seen: Observations) -> Iterator[Finding]:
        factor = self._factor(norm, variance)
        tiny = self._tiny(norm, variance)
        bad = tiny | (factor > self.max_scale)
        if bad.any():
            yield self._huge(norm, variance, factor, bad)
        zero = np.abs(norm.scale) < self.zero_scale
        if zero.mean() > self.note_zero_share and seen.facts.phase is not Phase.INIT:
            yield self._silent(norm, np.flatnonzero(zero).tolist(), float(zero.mean()))

    def _factor(self, norm: BatchNorm, variance: Floats) -> Floats:
        """Return what each channel is multiplied by; with data, how large it comes out if usual.

        Its size is that under its own statistics: the data's may be spoiled by an earlier layer,
        and where only the variance is wrong, ``_tiny`` holds it against the data.
        """
        factor: Floats = np.abs(norm.scale) / np.sqrt(np.maximum(variance, 0) + norm.eps)
        if norm.data is None:
            return factor
        size = factor * np.sqrt(np.maximum(variance, 0))
        stands_out = (factor > self.max_scale) & (size > self.outlier * np.median(size))
        return np.where(stands_out, factor, size)

    def _tiny(self, norm: BatchNorm, variance: Floats) -> NDArray[np.bool_]:
        median = np.median(variance)
        tiny = (variance < self.min_variance_ratio * median) & (variance < self.small_variance)
        tiny &= np.abs(norm.scale) >= self.zero_scale
        if norm.data is None:
            return tiny
        real, own = norm.data.variance + norm.eps, variance + norm.eps
        return tiny & (real > self.disagreement * own)

    def _huge(
        self, norm: BatchNorm, variance: Floats, factor: Floats, bad: NDArray[np.bool_]
    ) -> Finding:
        worst = int(np.flatnonzero(bad)[np.argmax(factor[bad])])
        units = np.flatnonzero(bad).tolist()
        return Finding(
            code=self.code,
            severity=Severity.WARNING,
            layer=norm.layer,
            message=f"channel {worst} is scaled to {factor[worst]:.3g} by gamma "
            f"{norm.scale[worst]:.3g} and running variance {variance[worst]:.3g}",
            measured=float(factor[worst]),
            limit=self.max_scale,
            healthy="at most 2.5",
            where=norm.where,
            site=norm.name,
            units=tuple(units),
            evidence=(f"median running variance of the layer {np.median(variance):.3g}",),
            remedies=_remedies(norm, variance, units),
        )

    def _silent(self, norm: BatchNorm, units: list[int], share: float) -> Finding:
        return Finding(
            code=self.code,
            severity=Severity.NOTE,
            layer=norm.layer,
            message=f"{len(units)} of {len(norm.scale)} channels have a scale near 0",
            measured=share,
            limit=self.note_zero_share,
            unit="share",
            where=norm.where,
            site=norm.name,
            units=tuple(units),
            remedies=(Remedy(advice="Prune these channels: they carry next to nothing."),),
        )


def _remedies(norm: BatchNorm, variance: Floats, units: list[int]) -> tuple[Remedy, ...]:
    layer = norm.layer.partition("#")[0]
    real = norm.data.variance if norm.data is not None else np.full_like(variance, np.nan)
    target = [float(f"{v if np.isfinite(v) else np.median(variance):.4g}") for v in real[units]]
    typical = float(f"{np.median(np.abs(norm.scale)):.4g}")
    code = (
        f"import torch\n\nnorm = model.get_submodule({layer!r})\nwith torch.no_grad():\n"
        f"    norm.running_var[{units}] = torch.tensor({target}).to(norm.running_var)\n"
        f"    norm.weight[{units}] = norm.weight[{units}].clamp(-{10 * typical}, {10 * typical})"
    )
    return (Remedy(advice="Put variance and scale of these channels right.", code=code),)
