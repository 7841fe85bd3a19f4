"""ACT006: pre-activations far from zero compared with their spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dnnrepair.evidence.activity import Activity
from dnnrepair.evidence.moments import Moments
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule
from dnnrepair.observation import Phase
from dnnrepair.preactivations import feeds_gate, is_gate, is_output, preactivations
from dnnrepair.rules.coma_units import SLOPED, SOFT
from dnnrepair.rules.saturation import BOUNDED
from dnnrepair.snippets import index

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.observation import Observations
    from dnnrepair.preactivations import Place
    from dnnrepair.sites import Site

JUDGED = frozenset({"relu"}) | SLOPED | SOFT | BOUNDED
MAX_LISTED = 64  # biases spelled out in the remedy


@rule("ACT006")
@dataclass(frozen=True, slots=True)
class MeanShift:
    """Pre-activations whose mean is far from zero compared with their spread.

    ## What it measures
    Per unit the absolute mean over the standard deviation of what the activation reads, over all
    data; the layer's value is the median over its units. Dead and constant units are left out.

    ## Why it matters
    A unit that sees only one side of its activation is linear or off, whatever the sample. The
    means of one layer add up in the next, and slow its training.

    ## What to do
    Take the mean out of the bias, normalize before the activation, center the input, or use an
    activation with mean near zero.

    ## Limits
    Gates and what computes them are left out: a gate that is nearly always open is no fault. In a
    fresh network the shift is what the initializer gives a sigmoid, and only noted.

    ## Source
    LeCun, Bottou, Orr and Müller 1998, section 4.3; healthy networks: at most 2.37.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "mean-shift"
    needs: ClassVar[frozenset[type]] = frozenset({Activity, Moments})
    wants: ClassVar[frozenset[type]] = frozenset()
    note_ratio: float = 3.0  # |mean| / std, above 0
    warn_ratio: float = 5.0  # |mean| / std, above 0

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield a finding per layer off center."""
        for place in preactivations(seen, self.code, JUDGED):
            if isinstance(place, Skip):
                yield place
            elif place.moments is None:
                reason = "its units cannot be matched with those of the layer before"
                yield Skip(code=self.code, reason=reason, layer=place.site.layer)
            elif not _aside(seen, place.site):
                yield from self._judge(place, place.moments, seen.facts.phase)

    def _judge(self, place: Place, moments: Moments, phase: Phase) -> Iterator[Finding]:
        spread = np.maximum(np.abs(moments.low), np.abs(moments.high))
        live = (moments.std > 1e-6 * spread) & (place.activity.positive > 0)
        if not live.any():
            return
        ratios = np.abs(moments.mean[live]) / moments.std[live]
        ratio = float(np.median(ratios))
        if not ratio > self.note_ratio:
            return
        site, trained = place.site, phase is Phase.TRAINED
        units = np.flatnonzero(live)[ratios > self.note_ratio]
        yield Finding(
            code=self.code,
            severity=Severity.WARNING if trained and ratio > self.warn_ratio else Severity.NOTE,
            layer=site.layer,
            message=f"the input of {site.op} lies {ratio:.1f} standard deviations from zero "
            "(median unit)",
            measured=ratio,
            limit=self.warn_ratio,
            healthy="at most 2.4",
            unit="standard deviations",
            where=site.where,
            site=site.name,
            units=tuple(units.tolist()),
            remedies=_remedies(place, moments, units.tolist()),
        )


def _aside(seen: Observations, site: Site) -> bool:
    sites = seen.sites
    return is_output(sites, site) or is_gate(sites, site) or feeds_gate(sites, site)


def _remedies(place: Place, moments: Moments, units: list[int]) -> tuple[Remedy, ...]:
    normalize = Remedy(advice="Put a BatchNorm or LayerNorm before the activation and train on.")
    name = place.source.tensors.get("bias")
    if not name or len(units) > MAX_LISTED:
        return (normalize,)
    means = [float(f"{value:.4g}") for value in moments.mean[units]]
    code = (
        f"import torch\n\nbias = model.get_parameter({name!r})\nwith torch.no_grad():\n"
        f"    bias{index(units, len(moments.mean))} -= torch.tensor({means}).to(bias)"
    )
    return (Remedy(advice="Take the mean out of the bias, then train on.", code=code), normalize)
