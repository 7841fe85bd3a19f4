"""ACT003: units on the flat part of a bounded activation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dnnrepair.evidence.activity import Activity
from dnnrepair.evidence.gates import GateUse
from dnnrepair.evidence.moments import Moments
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule
from dnnrepair.preactivations import GATES, is_gate, is_output, preactivations, too_few
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dnnrepair.observation import Observations
    from dnnrepair.preactivations import Place
    from dnnrepair.sites import Site

    Floats = NDArray[np.float64]

BOUNDED = frozenset({"sigmoid", "tanh", "hardsigmoid", "hardtanh", "softsign", "relu6"})
TARGET = 2.0  # P90 of |z| after the rescaling that the remedy proposes
P90 = 1.28  # standard deviations from the mean to the 90th percentile of a Gaussian


@rule("ACT003")
@dataclass(frozen=True, slots=True)
class Saturation:
    """Units that work on the flat part of a sigmoid, tanh or clipped activation.

    ## What it measures
    A row is flat for a unit where the slope is under 5 % of its maximum (sigmoid beyond 4.36, tanh
    beyond 2.18, clipped ones outside their linear zone). A unit is saturated if at least 95 % of
    the rows are flat. Inside LSTM and GRU layers the input and output gates and the candidate are
    recomputed on a sample of the data.

    ## Why it matters
    Where the slope is nearly 0 no gradient passes: what lies before the unit stops learning, and
    the unit says nearly the same of every sample.

    ## What to do
    Scale the layer's incoming weights and bias down, normalize its input, put a normalization
    before the activation, or use an unbounded activation.

    ## Limits
    Left out: forget and update gates (near 1 is how they remember), sigmoids that weigh another
    value (SE blocks, GLU, SiLU), outputs (a confident answer is no fault), and the zero side of
    ReLU6, which is sparsity. Which share of all values is flat says nothing: 44 % is healthy.

    ## Source
    Glorot and Bengio 2010; limits measured: healthy networks have no saturated unit.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "saturated-activation"
    needs: ClassVar[frozenset[type]] = frozenset({Activity})
    wants: ClassVar[frozenset[type]] = frozenset({Moments, GateUse})
    flat_share: float = 0.95  # of rows, in [0, 1]
    warn_share: float = 0.25  # of a layer's units, in [0, 1]

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield a finding per layer with saturated units."""
        for place in preactivations(seen, self.code, BOUNDED):
            if isinstance(place, Skip):
                yield place
            elif not _aside(seen, place.site):
                activity = place.activity
                low = activity.low_share * (0 if _floors(place.site) else 1)
                yield from self._judge(
                    place.site, low, activity.high_share, activity.count, _remedies(place)
                )
        yield from self._recurrent(seen)

    def _recurrent(self, seen: Observations) -> Iterator[Finding | Skip]:
        if GateUse in seen.missing:
            if seen.sites.of(Kind.RECURRENT):
                yield Skip(code=self.code, reason=f"gates: {seen.missing[GateUse]}")
            return
        for site, use in _gate_uses(seen):
            reason = too_few(use.count) if use.count else "packed sequences are not taken apart"
            if reason:
                yield Skip(code=self.code, reason=reason, layer=site.layer)
                continue
            for name, low, high in zip(use.names, use.low, use.high, strict=True):
                shares = low / use.count, high / use.count
                yield from self._judge(site, *shares, use.count, _GATE_REMEDIES, name)

    def _judge(
        self,
        site: Site,
        low: Floats,
        high: Floats,
        count: int,
        remedies: tuple[Remedy, ...],
        gate: str = "",
    ) -> Iterator[Finding]:
        units = np.flatnonzero(low + high >= self.flat_share)
        if not len(units):
            return
        share = len(units) / len(low)
        above = int((high[units] > low[units]).sum())
        yield Finding(
            code=self.code,
            severity=Severity.WARNING if share >= self.warn_share else Severity.NOTE,
            layer=site.layer,
            message=f"{len(units)} of {len(low)} units of the {gate or site.op} are flat on at "
            f"least {100 * self.flat_share:g} % of {count:,} rows",
            measured=share,
            limit=self.warn_share,
            healthy="no such unit",
            unit="share",
            where=site.where,
            site=site.name,
            units=tuple(units.tolist()),
            evidence=(f"{above} mostly at the upper end, {len(units) - above} at the lower",),
            remedies=remedies,
        )


def _aside(seen: Observations, site: Site) -> bool:
    """Tell whether an activation may saturate: a gate, or what the network returns."""
    return is_output(seen.sites, site) or (site.op in GATES and is_gate(seen.sites, site))


def _floors(site: Site) -> bool:
    """Tell whether the lower bound is a ReLU's: values there are switched off, not saturated."""
    low = site.setting("min_val", site.setting("min", -1.0))
    return site.op == "relu6" or (site.op == "hardtanh" and low >= 0)


def _gate_uses(seen: Observations) -> Iterator[tuple[Site, GateUse]]:
    """Yield each recurrent layer once, over all calls of its weights."""
    found: dict[tuple[str, ...], tuple[Site, GateUse]] = {}
    for name, use in seen.of(GateUse).items():
        site = seen.sites[name]
        key = tuple(site.tensors.values()) or (name,)
        first, before = found.get(key, (site, None))
        found[key] = (first, use if before is None else before + use)
    yield from found.values()


_GATE_REMEDIES = (
    Remedy(advice="Normalize the layer's input and clip gradients (to norm 1), then train on."),
)


def _remedies(place: Place) -> tuple[Remedy, ...]:
    normalize = Remedy(advice="Put a BatchNorm or LayerNorm before the activation and train on.")
    moments, tensors = place.moments, place.source.tensors
    names = [tensors[key] for key in ("weight", "bias") if key in tensors]
    if moments is None or not names:
        return (normalize,)
    size = float(np.median(np.abs(moments.mean) + P90 * moments.std))
    if not size > TARGET:
        return (normalize,)
    factor = float(f"{TARGET / size:.3g}")
    code = (
        f"import torch\n\nwith torch.no_grad():\n    for name in {names!r}:\n"
        f"        model.get_parameter(name).mul_({factor})"
    )
    advice = "Scale the incoming weights down to the useful range, then train on."
    return (Remedy(advice=advice, code=code), normalize)
