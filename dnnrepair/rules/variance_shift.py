"""ACT005: values that grow from layer to layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dnnrepair.evidence.moments import Moments
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule
from dnnrepair.preactivations import is_output
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.observation import Observations
    from dnnrepair.sites import Site, Sites

_BETWEEN = (Kind.ACTIVATION, Kind.POOL, Kind.VIEW, Kind.DROPOUT)


@rule("ACT005")
@dataclass(frozen=True, slots=True)
class VarianceShift:
    """Pre-activations that are huge, or double from layer to layer.

    ## What it measures
    The standard deviation of each affine layer's output over all units and rows, where no
    normalization follows; and its growth per layer over chains of affine layers without
    normalization (slope of the logarithm of the standard deviation).

    ## Why it matters
    Huge values saturate what follows and make the loss steep; growth by a constant factor per layer
    ends in overflow, in half precision first.

    ## What to do
    Rescale the layers to unit variance on data (LSUV), or insert a normalization.

    ## Limits
    Residual streams are judged by RES001, outputs by the OUT rules.

    ## Source
    Mishkin and Matas 2016, arXiv:1511.06422 (LSUV); healthy trained networks: 0.33 to 13.7.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "variance-shift"
    needs: ClassVar[frozenset[type]] = frozenset({Moments})
    wants: ClassVar[frozenset[type]] = frozenset()
    max_std: float = 100.0  # of a layer's output, above 0
    max_growth: float = 2.0  # factor of the standard deviation per layer, above 1
    min_chain: int = 6  # consecutive layers, at least 2

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield a finding per huge layer, and per chain that grows."""
        stds: dict[str, float] = {}
        for site in seen.sites.of(Kind.AFFINE):
            moments = seen.of(Moments).get(site.name)
            if moments is None or not moments.count or not math.isfinite(moments.pooled_std):
                reason = "its output was not measured, or is not finite (see NUM001)"
                yield Skip(code=self.code, reason=reason, layer=site.layer)
            elif not is_output(seen.sites, site) and not _normalized(seen.sites, site):
                stds[site.name] = moments.pooled_std
        huge = [name for name in stds if stds[name] > self.max_std]
        if huge:
            yield self._huge(seen.sites[huge[0]], stds[huge[0]], len(huge))
        for chain in _chains(seen.sites, stds):
            yield from self._growing(chain, stds)

    def _huge(self, site: Site, std: float, count: int) -> Finding:
        more = (f"{count - 1} layers further down are beyond the limit too",) if count > 1 else ()
        return Finding(
            code=self.code,
            severity=Severity.WARNING,
            layer=site.layer,
            message=f"the output has standard deviation {std:.3g}",
            measured=std,
            limit=self.max_std,
            healthy="0.33 to 13.7",
            where=site.where,
            site=site.name,
            evidence=more,
            remedies=_rescale(site, std),
        )

    def _growing(self, chain: list[Site], stds: dict[str, float]) -> Iterator[Finding]:
        values = [stds[site.name] for site in chain]
        if len(chain) < self.min_chain or min(values) <= 0:
            return
        growth = float(np.exp(np.polyfit(range(len(values)), np.log(values), 1)[0]))
        if growth <= self.max_growth:
            return
        last = chain[-1]
        yield Finding(
            code=self.code,
            severity=Severity.WARNING,
            layer=last.layer,
            message=f"the output grows {growth:.2f}-fold per layer over {len(chain)} layers",
            measured=growth,
            limit=self.max_growth,
            healthy="near 1",
            where=last.where,
            site=last.name,
            evidence=tuple(f"{s.layer}: {v:.3g}" for s, v in zip(chain, values, strict=True)),
            remedies=_rescale(last, values[-1]),
        )


def _normalized(sites: Sites, site: Site) -> bool:
    readers = sites.readers(site)
    return bool(readers) and all(reader.kind is Kind.NORM for reader in readers)


def _chains(sites: Sites, stds: dict[str, float]) -> Iterator[list[Site]]:
    """Yield the longest runs of measured affine layers with nothing but activations between."""
    chains: dict[str, list[Site]] = {}
    for name in stds:
        before = _affine_before(sites, sites[name])
        longer = chains.pop(before, None) if before else None
        chains[name] = [*(longer or []), sites[name]]
    yield from chains.values()


def _affine_before(sites: Sites, site: Site) -> str | None:
    found = sites.source(site)
    while found is not None and found.kind in _BETWEEN and found.inputs:
        found = sites.source(found)
    return found.name if found is not None and found.kind is Kind.AFFINE else None


def _rescale(site: Site, std: float) -> tuple[Remedy, ...]:
    names = [site.tensors[key] for key in ("weight", "bias") if key in site.tensors]
    normalize = Remedy(advice="Insert a normalization after this layer and train on.")
    if not names:
        return (normalize,)
    code = (
        f"import torch\n\nwith torch.no_grad():\n    for name in {names!r}:\n"
        f"        model.get_parameter(name).div_({std:.4g})"
    )
    return (
        Remedy(advice="Rescale the layer to unit variance (LSUV), train on.", code=code),
        normalize,
    )
