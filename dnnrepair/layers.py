"""The layer tree of a report: one line per layer, with what was measured and found there."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dnnrepair.evidence.gradient import Gradient
from dnnrepair.evidence.moments import Moments
from dnnrepair.evidence.values import Values
from dnnrepair.report import Histogram, LayerHealth
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dnnrepair.finding import Finding
    from dnnrepair.observation import Observations, TensorInfo
    from dnnrepair.sites import Site


def layer_tree(seen: Observations, findings: Sequence[Finding]) -> tuple[LayerHealth, ...]:
    """Return one line per layer that holds parameters, in execution order; unused layers last."""
    found: dict[str, list[Finding]] = {}
    for finding in everything(findings):
        found.setdefault(finding.layer, []).append(finding)
    sites: dict[str, Site] = {}
    for site in seen.sites:
        if site.tensors and site.layer:
            sites.setdefault(site.layer, site)
    unread = (info.layer for info in seen.tensors.values() if info.layer not in sites)
    names = [*sites, *dict.fromkeys(unread)]
    return tuple(_line(name, sites.get(name), found.get(name, ()), seen) for name in names)


def everything(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield all findings, consequences after their root."""
    for finding in findings:
        yield finding
        yield from everything(finding.consequences)


def _line(
    name: str, site: Site | None, found: Iterable[Finding], seen: Observations
) -> LayerHealth:
    worst_first = sorted(found, key=lambda finding: finding.severity.rank)
    tensors = [info for info in seen.tensors.values() if info.layer == name.partition("#")[0]]
    moments = seen.of(Moments).get(site.name) if site else None
    return LayerHealth(
        name=name,
        op=site.op if site else "unused" if len(seen.sites.sequence) else _guess(tensors),
        where=site.where if site else None,
        shape=site.shape[1:] if site else (),
        parameters=sum(math.prod(i.shape) for i in tensors if not i.buffer),
        mark=worst_first[0].severity if worst_first else None,
        examined=site is None or site.kind is not Kind.OTHER,
        codes=tuple(dict.fromkeys(finding.code for finding in worst_first)),
        mean=_finite(moments.pooled_mean) if moments else None,
        std=_finite(moments.pooled_std) if moments else None,
        gradient=_gradient(tensors, seen),
        activations=_histogram(site, seen) if site else None,
    )


def _guess(tensors: Sequence[TensorInfo]) -> str:
    return tensors[0].role.value if tensors else ""


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _gradient(tensors: Sequence[TensorInfo], seen: Observations) -> float | None:
    ratios = [seen.of(Gradient)[i.name].ratio for i in tensors if i.name in seen.of(Gradient)]
    finite = [ratio for ratio in ratios if math.isfinite(ratio)]
    return max(finite, default=None)


def _histogram(site: Site, seen: Observations) -> Histogram | None:
    values = seen.of(Values).get(site.name)
    if values is None:
        return None
    low, high, counts = values.histogram()
    return Histogram(low=low, high=high, counts=counts)
