"""Batch norms as rules see them, whether there is a graph or only a state dict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dnnrepair.evidence.batch_statistics import BatchStatistics
from dnnrepair.evidence.vectors import Vector
from dnnrepair.observation import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dnnrepair.observation import Observations
    from dnnrepair.sites import Site

    Floats = NDArray[np.float64]

DEFAULT_EPS = 1e-5  # of torch's batch norm; a state dict does not tell
LARGEST_EPS = 1e6  # beyond it no variance matters
_SUFFIX = "running_var"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchNorm:
    """A batch norm and what it holds.

    Attributes:
        layer: dotted name.
        site: its first call; None without a graph.
        mean, variance: running statistics, ``(channels,)``; None if it keeps none.
        scale: gamma, ``(channels,)``; ones if it has none.
        eps: added to the variance.
        tracked: batches its statistics have seen; None if unknown.
        data: what it reads on the data, over all its calls; None if not measured.
    """

    layer: str
    site: Site | None
    mean: Floats | None
    variance: Floats | None
    scale: Floats
    eps: float
    tracked: float | None
    data: BatchStatistics | None

    @property
    def where(self) -> str | None:
        """Source line of its first call."""
        return self.site.where if self.site else None

    @property
    def name(self) -> str:
        """Name of its first call in the graph, "" without a graph."""
        return self.site.name if self.site else ""

    @property
    def divergence(self) -> Floats | None:
        """Divergence of the data from the running statistics, ``(channels,)``; None if unknown."""
        if self.data is None or self.mean is None or self.variance is None:
            return None
        return divergence(self.data.mean, self.data.variance, self.mean, self.variance, self.eps)


def divergence(mean: Floats, var: Floats, own_mean: Floats, own_var: Floats, eps: float) -> Floats:
    """Return KL(N(mean, var) || N(own_mean, own_var)) per channel, ``eps`` added to variances.

    ``eps`` keeps channels that are constant on both sides at 0; where it is so large that the norm
    takes only the mean away, torch's is taken.
    """
    eps = DEFAULT_EPS if eps > LARGEST_EPS else eps
    v, own = np.maximum(var, 0) + eps, np.maximum(own_var, 0) + eps
    kl: Floats = 0.5 * (v / own + (mean - own_mean) ** 2 / own - 1 - np.log(v / own))
    return kl


def why_not_judged(seen: Observations) -> str:
    """Return why running statistics of this network cannot be judged, "" if they can."""
    if seen.facts.phase is Phase.INIT:
        return "the network is untrained: its running statistics have seen no data yet"
    return ""


def batch_norms(seen: Observations) -> Iterator[BatchNorm]:
    """Yield each batch norm once, in execution order, or in that of the state dict."""
    if not seen.sites.sequence:
        for name in seen.tensors:
            if name.endswith(_SUFFIX) and name in seen.of(Vector):
                yield _from_tensors(seen, name)
        return
    calls: dict[str, list[Site]] = {}
    for site in seen.sites:
        if site.op == "batch_norm":
            calls.setdefault(site.tensors.get(_SUFFIX) or site.name, []).append(site)
    for sites in calls.values():
        yield _from_sites(seen, sites)


def _from_tensors(seen: Observations, variance_name: str) -> BatchNorm:
    layer = seen.tensors[variance_name].layer
    prefix = variance_name.removesuffix(_SUFFIX)
    variance = seen.of(Vector)[variance_name].values
    scale = _values(seen, f"{prefix}weight")
    return BatchNorm(
        layer=layer,
        site=None,
        mean=_values(seen, f"{prefix}running_mean"),
        variance=variance,
        scale=np.ones_like(variance) if scale is None else scale,
        eps=DEFAULT_EPS,
        tracked=_tracked(seen, prefix),
        data=None,
    )


def _from_sites(seen: Observations, sites: list[Site]) -> BatchNorm:
    first = sites[0]
    variance = _values(seen, first.tensors.get(_SUFFIX))
    scale = _values(seen, first.tensors.get("weight"))
    return BatchNorm(
        layer=first.layer,
        site=first,
        mean=_values(seen, first.tensors.get("running_mean")),
        variance=variance,
        scale=np.ones(first.width) if scale is None else scale,
        eps=first.setting("eps", DEFAULT_EPS),
        tracked=_tracked(seen, first.tensors.get(_SUFFIX, "").removesuffix(_SUFFIX)),
        data=_data(seen, sites),
    )


def _values(seen: Observations, name: str | None) -> Floats | None:
    found = seen.of(Vector).get(name or "")
    return found.values if found is not None else None


def _tracked(seen: Observations, prefix: str) -> float | None:
    found = _values(seen, f"{prefix}num_batches_tracked") if prefix else None
    return float(found[0]) if found is not None and len(found) else None


def _data(seen: Observations, sites: list[Site]) -> BatchStatistics | None:
    found: BatchStatistics | None = None
    for site in sites:
        more = seen.of(BatchStatistics).get(site.name)
        if more is not None:
            found = more if found is None else found + more
    return found
