"""ACT001: ReLU units that never fire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dnnrepair.evidence.activity import Activity
from dnnrepair.evidence.moments import Moments
from dnnrepair.evidence.vectors import Vector
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule
from dnnrepair.preactivations import preactivations, too_few
from dnnrepair.snippets import index

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dnnrepair.observation import Observations
    from dnnrepair.sites import Site

    Mask = NDArray[np.bool_]

FEW = 8  # units whose own shift is spelled out in the remedy
P90 = 1.28  # standard deviations from the mean to the 90th percentile of a Gaussian


@rule("ACT001")
@dataclass(frozen=True, slots=True)
class DeadRelu:
    """Units whose ReLU is zero on every sample.

    ## What it measures
    The share of rows (samples times positions) on which each unit's pre-activation is positive,
    over all data. A unit is dead if that never happened in N rows; its true rate is then below 3/N
    with 95 % confidence. Units that are exactly 0 before the ReLU are pruned, not dead.

    ## Why it matters
    A dead unit passes on nothing and gets no gradient: it stays dead, and the layer is as narrow as
    what is left. Half a layer dead costs accuracy; all of it cuts the network in two.

    ## What to do
    Raise the bias until the unit fires on a tenth of the data; re-draw its incoming weights and
    zero its outgoing ones; use LeakyReLU or GELU; lower the learning rate; or prune it, which
    changes nothing on this data.

    ## Limits
    Sparse is not dead: pooled zeros are no evidence. A unit may serve a case that the data lack.

    ## Source
    Lu, Shin, Su and Karniadakis 2020, arXiv:1903.06733; limits measured: healthy layers have at
    most 48 % dead units (Glorot, Bordes and Bengio 2011 report 50-80 % sparsity as normal).
    """

    code: ClassVar[str]
    name: ClassVar[str] = "dead-relu"
    needs: ClassVar[frozenset[type]] = frozenset({Activity})
    wants: ClassVar[frozenset[type]] = frozenset({Moments, Vector})
    warn_share: float = 0.5  # of a layer's units, in [0, 1]
    error_share: float = 0.95  # of a layer's units, in [0, 1]
    rare_share: float = 1e-3  # of rows on which a unit fires "rarely", in [0, 1]
    min_units: int = 8  # narrower layers are judged only when all of it is dead, at least 1

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield a finding per layer with dead units."""
        for place in preactivations(seen, self.code, {"relu", "relu6"}):
            if isinstance(place, Skip):
                yield place
                continue
            count, positive = place.activity.count, place.activity.positive
            facts = self._facts(place.activity, place.moments)
            dead = (positive == 0) & ~_pruned(place.moments, len(positive))
            yield from self._judge(
                seen, place.site, place.source, dead, count, facts, place.moments
            )
        yield from self._recurrent(seen)

    def _recurrent(self, seen: Observations) -> Iterator[Finding | Skip]:
        for site in seen.sites:
            moments = seen.of(Moments).get(site.name)
            if not site.op.startswith("rnn_relu") or moments is None:
                continue
            reason = "its output is not finite; see NUM001" if moments.nonfinite else ""
            reason = reason or too_few(moments.count)
            if reason:
                yield Skip(code=self.code, reason=reason, layer=site.layer)
            else:
                yield from self._judge(seen, site, None, moments.high <= 0, moments.count, (), None)

    def _judge(
        self,
        seen: Observations,
        site: Site,
        source: Site | None,
        dead: Mask,
        count: int,
        facts: tuple[str, ...],
        moments: Moments | None,
    ) -> Iterator[Finding]:
        if not dead.any():
            return
        units = tuple(np.flatnonzero(dead).tolist())
        share = float(dead.mean())
        yield Finding(
            code=self.code,
            severity=self._severity(share, len(dead)),
            layer=site.layer,
            message=f"{len(units)} of {len(dead)} ReLU units never fire on {count:,} rows",
            measured=share,
            limit=self.warn_share,
            healthy="at most 48 % of a layer",
            unit="share",
            where=site.where,
            site=site.name,
            units=units,
            evidence=(
                f"a dead unit fires on less than {3 / count:.1g} of all rows (95 % confidence)",
                *facts,
                *_cause(seen, source, dead, moments),
            ),
            remedies=_remedies(seen, site, source, dead, moments),
        )

    def _severity(self, share: float, units: int) -> Severity:
        if share == 1 or (share >= self.error_share and units >= self.min_units):
            return Severity.ERROR
        if share >= self.warn_share and units >= self.min_units:
            return Severity.WARNING
        return Severity.NOTE

    def _facts(self, activity: Activity, moments: Moments | None) -> tuple[str, ...]:
        rare = ((activity.positive > 0) & (activity.positive_share < self.rare_share)).sum()
        facts = [f"{rare} more units fire on under {self.rare_share:g} of the rows"] if rare else []
        dead = activity.positive == 0
        if moments is not None and dead.any():
            high, mean = moments.high[dead].max(), np.median(moments.mean[dead])
            facts.append(
                f"their pre-activation reaches at most {high:.3g} (median mean {mean:.3g})"
            )
        return tuple(facts)


def _pruned(moments: Moments | None, units: int) -> Mask:
    """Return the units that are exactly 0 before the ReLU; none if all of the layer is."""
    if moments is None:
        return np.zeros(units, bool)
    pruned: Mask = (moments.low == 0) & (moments.high == 0)
    return np.zeros(units, bool) if pruned.all() else pruned


def _bias(seen: Observations, source: Site | None, units: int) -> tuple[str, NDArray[np.float64]]:
    name = source.tensors.get("bias", "") if source else ""
    found = seen.of(Vector).get(name)
    if found is None or len(found.values) != units:
        return "", np.zeros(units)
    return name, found.values


def _by_bias(seen: Observations, source: Site | None, moments: Moments, dead: Mask) -> Mask:
    """Return the dead units that would fire on some row if they had no bias."""
    name, bias = _bias(seen, source, len(dead))
    return dead & (moments.high - bias > 0) if name else np.zeros_like(dead)


def _cause(
    seen: Observations, source: Site | None, dead: Mask, moments: Moments | None
) -> tuple[str, ...]:
    if moments is None or not _bias(seen, source, len(dead))[0]:
        return ()
    by_bias = _by_bias(seen, source, moments, dead).sum()
    return (f"{by_bias} of them would fire without their bias, {dead.sum() - by_bias} would not",)


def _remedies(
    seen: Observations, site: Site, source: Site | None, dead: Mask, moments: Moments | None
) -> tuple[Remedy, ...]:
    name, _ = _bias(seen, source, len(dead))
    units = np.flatnonzero(dead).tolist()
    place = index(units, len(dead))
    found: list[Remedy] = []
    if name and moments is not None:
        shift = moments.mean + P90 * moments.std
        amounts: object = float(f"{np.median(shift[dead]):.4g}")
        if len(units) <= FEW:
            amounts = [float(f"{value:.4g}") for value in shift[dead]]
        found.append(
            Remedy(
                advice="Raise the bias so that each unit fires on about a tenth of the data.",
                code=f"import torch\n\nbias = model.get_parameter({name!r})\n"
                "with torch.no_grad():\n"
                f"    bias{place} -= torch.tensor({amounts}).to(bias)",
            )
        )
    weight = source.tensors.get("weight") if source and len(source.shape) > 1 else None
    if weight and source and source.op != "batch_norm" and not source.settings.get("transposed"):
        found.append(
            Remedy(
                advice="Re-draw the incoming weights of the dead units, then train on.",
                code=f"import torch\n\nweight = model.get_parameter({weight!r})\n"
                "fresh = torch.nn.init.kaiming_normal_(torch.empty_like(weight))\n"
                f"with torch.no_grad():\n    weight{place} = fresh{place}",
            )
        )
    advice = (
        f"Replace the ReLU after {site.layer or 'the input'} by LeakyReLU or GELU and train on."
    )
    return (*found, Remedy(advice=advice))
