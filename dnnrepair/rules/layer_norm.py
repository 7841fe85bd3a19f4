"""LN001: layer norms with extreme scales or too faint inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dnnrepair.evidence.norm_input import NormInput
from dnnrepair.evidence.vectors import Vector
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dnnrepair.observation import Observations
    from dnnrepair.sites import Site

    Floats = NDArray[np.float64]

NORMS = frozenset({"layer_norm", "rms_norm", "group_norm", "instance_norm"})
MIN_WIDTH = 4  # narrower norms have no typical scale


@rule("LN001")
@dataclass(frozen=True, slots=True)
class LayerNormFault:
    """Layer, RMS or group norm with an extreme scale, or with inputs too faint to normalize.

    ## What it measures
    The largest scale (gamma) over the median one; the share of scales near 0; on data the share of
    tokens whose variance is below ten times eps, and the share of tokens of which one feature holds
    more than half the energy.

    ## Why it matters
    One huge scale drowns all other features. An input as faint as eps is not brought to unit
    variance: what should be scale-free is not, and the signal fades.

    ## What to do
    Clamp the scale; find out why the input is so faint; a smaller eps restores the normalization.

    ## Limits
    A scale far from 1 is no fault: healthy language models reach 7. Massive features are normal in
    large language models and are only noted, as are scales of exactly 0 (pruned or zero-init).

    ## Source
    Ba, Kiros and Hinton 2016, arXiv:1607.06450; massive activations: Sun, Chen, Kolter and Liu
    2024, arXiv:2402.17762.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "layer-norm-fault"
    needs: ClassVar[frozenset[type]] = frozenset({Vector})
    wants: ClassVar[frozenset[type]] = frozenset({NormInput})
    max_scale_ratio: float = 30.0  # largest over median absolute scale, above 1
    zero_scale: float = 1e-3  # a scale below this is near 0, above 0
    max_zero_share: float = 0.5  # of features with scale near 0, in [0, 1]
    max_faint_share: float = 0.5  # of tokens, in [0, 1]
    max_massive_share: float = 0.5  # of tokens, in [0, 1]

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield findings per norm."""
        sites: dict[str, Site] = {}
        for site in seen.sites:
            if site.op in NORMS:
                sites.setdefault(site.tensors.get("weight", site.name), site)
        for weight, site in sites.items():
            scale = seen.of(Vector).get(weight)
            if scale is not None:
                yield from self._scale(site, weight, np.abs(scale.values))
            yield from self._input(seen, site)

    def _scale(self, site: Site, weight: str, scale: Floats) -> Iterator[Finding | Skip]:
        if not np.isfinite(scale).all():
            reason = "its scale is not finite; see NUM001"
            yield Skip(code=self.code, reason=reason, layer=site.layer)
            return
        live = scale[scale >= self.zero_scale]
        median = float(np.median(live)) if len(live) else np.inf
        ratio = float(scale.max() / median)
        if ratio > self.max_scale_ratio and len(scale) >= MIN_WIDTH:
            units = np.flatnonzero(scale > self.max_scale_ratio * median).tolist()
            yield self._finding(
                site,
                Severity.WARNING,
                f"the largest scale is {ratio:.3g} times the median one",
                (ratio, self.max_scale_ratio, "1"),
                _clamp(weight, units, median),
                tuple(units),
            )
        zero = scale < self.zero_scale
        if zero.mean() > self.max_zero_share:
            meant = (scale[zero] == 0).all()
            yield self._finding(
                site,
                Severity.NOTE if meant else Severity.WARNING,
                f"{zero.sum()} of {len(scale)} scales are {'exactly' if meant else 'nearly'} 0",
                (float(zero.mean()), self.max_zero_share, "share"),
                Remedy(advice="Prune these features, or set their scale to 1 and train on."),
                tuple(np.flatnonzero(zero).tolist()),
            )

    def _input(self, seen: Observations, site: Site) -> Iterator[Finding | Skip]:
        found = seen.of(NormInput).get(site.name)
        if found is None or not found.count:
            if site.op in ("layer_norm", "rms_norm"):
                reason = f"its input: {seen.missing.get(NormInput, 'not measured')}"
                yield Skip(code=self.code, reason=reason, layer=site.layer)
            return
        faint, massive = found.faint / found.count, found.massive / found.count
        if faint > self.max_faint_share:
            yield self._finding(
                site,
                Severity.WARNING,
                f"{100 * faint:.0f} % of {found.count} tokens are too faint for eps",
                (faint, self.max_faint_share, "share"),
                Remedy(advice="Find the layer before that lets the signal fade, or lower eps."),
            )
        if massive > self.max_massive_share:
            yield self._finding(
                site,
                Severity.NOTE,
                f"one feature holds over half the energy of {100 * massive:.0f} % of the tokens",
                (massive, self.max_massive_share, "share"),
                Remedy(advice="Nothing, unless the network is to be quantized."),
            )

    def _finding(
        self,
        site: Site,
        severity: Severity,
        message: str,
        numbers: tuple[float, float, str],
        remedy: Remedy,
        units: tuple[int, ...] = (),
    ) -> Finding:
        return Finding(
            code=self.code,
            severity=severity,
            layer=site.layer,
            message=message,
            measured=numbers[0],
            limit=numbers[1],
            unit=numbers[2],
            where=site.where,
            site=site.name,
            units=units,
            remedies=(remedy,),
        )


def _clamp(weight: str, units: list[int], median: float) -> Remedy:
    bound = float(f"{10 * median:.4g}")
    return Remedy(
        advice="Clamp these scales, then train on.",
        code=f"import torch\n\nscale = model.get_parameter({weight!r})\nwith torch.no_grad():\n"
        f"    scale[{units}] = scale[{units}].clamp(-{bound}, {bound})",
    )
