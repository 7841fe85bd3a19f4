"""ACT002: units that stay on one side of their activation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dnnrepair.evidence.activity import Activity
from dnnrepair.evidence.moments import Moments
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule
from dnnrepair.preactivations import feeds_gate, is_gate, is_output, preactivations
from dnnrepair.snippets import index

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.observation import Observations
    from dnnrepair.preactivations import Place

SLOPED = frozenset({"leaky_relu", "prelu", "rrelu", "elu", "selu", "celu"})  # negative: z <= 0
SOFT = frozenset({"gelu", "silu", "mish", "softplus", "hardswish"})  # flat: z < -3


@rule("ACT002")
@dataclass(frozen=True, slots=True)
class ComaUnits:
    """Units that stay on the negative side of a leaky or smooth activation.

    ## What it measures
    The share of rows on which each unit's pre-activation is negative (LeakyReLU, PReLU, ELU, SELU,
    CELU) or below -3 (GELU, SiLU, Mish, softplus, hardswish, where the slope is nearly 0), over all
    data. The mirror case, ReLU units that are positive on every row, is noted.

    ## Why it matters
    Such a unit is linear or silent: it adds no non-linearity, and a smooth one hardly learns.

    ## What to do
    Raise the bias, normalize before the activation, or let PReLU learn its slope.

    ## Limits
    A few such units are normal. Activations that only compute gates, and outputs, are left out.

    ## Source
    Limits measured: healthy layers have at most 14 % (leaky) and 3 % (smooth) such units.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "coma-units"
    needs: ClassVar[frozenset[type]] = frozenset({Activity})
    wants: ClassVar[frozenset[type]] = frozenset({Moments})
    sloped_share: float = 0.999  # of rows with z <= 0, in [0, 1]
    soft_share: float = 0.99  # of rows with z < -3, in [0, 1]
    warn_share: float = 0.5  # of a layer's units, in [0, 1]
    min_units: int = 8  # narrower layers get a note at most, at least 1

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield a finding per layer with such units."""
        for place in preactivations(seen, self.code, SLOPED | SOFT | {"relu"}):
            if isinstance(place, Skip):
                if seen.sites and place.layer:
                    yield place
            elif place.site.op == "relu":
                yield from self._always_on(seen, place)
            elif not is_output(seen.sites, place.site):
                yield from self._coma(place)

    def _coma(self, place: Place) -> Iterator[Finding]:
        activity, site = place.activity, place.site
        bound = self.sloped_share if site.op in SLOPED else self.soft_share
        units = np.flatnonzero(activity.low_share >= bound)
        share = len(units) / max(len(activity.low), 1)
        if not len(units):
            return
        wide = len(activity.low) >= self.min_units
        yield Finding(
            code=self.code,
            severity=Severity.WARNING if share >= self.warn_share and wide else Severity.NOTE,
            layer=site.layer,
            message=f"{len(units)} of {len(activity.low)} units stay "
            f"{'negative' if site.op in SLOPED else 'below -3'} before {site.op} "
            f"on {100 * bound:g} % of {activity.count:,} rows",
            measured=share,
            limit=self.warn_share,
            healthy="at most 14 % of a layer",
            unit="share",
            where=site.where,
            site=site.name,
            units=tuple(units.tolist()),
            remedies=_remedies(place, units.tolist()),
        )

    def _always_on(self, seen: Observations, place: Place) -> Iterator[Finding]:
        activity, site = place.activity, place.site
        on = np.flatnonzero(activity.positive >= activity.count)
        aside = is_gate(seen.sites, site) or feeds_gate(seen.sites, site)
        if len(on) < self.warn_share * len(activity.positive) or aside:
            return
        yield Finding(
            code=self.code,
            severity=Severity.NOTE,
            layer=site.layer,
            message=f"{len(on)} of {len(activity.positive)} ReLU units are positive on every one "
            f"of {activity.count} rows, so they are linear",
            measured=len(on) / len(activity.positive),
            limit=self.warn_share,
            unit="share",
            where=site.where,
            site=site.name,
            units=tuple(on.tolist()),
        )


def _remedies(place: Place, units: list[int]) -> tuple[Remedy, ...]:
    name = place.source.tensors.get("bias")
    advice = Remedy(advice="Normalize before the activation (BatchNorm or LayerNorm) and train on.")
    if not name or place.moments is None:
        return (advice,)
    shift = float(f"{np.median(place.moments.mean[units]):.4g}")
    code = (
        f"import torch\n\nbias = model.get_parameter({name!r})\n"
        f"with torch.no_grad():\n    bias{index(units)} -= {shift}"
    )
    return (Remedy(advice="Center these units by their bias, then train on.", code=code), advice)
