"""WGT001: units that compute the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.evidence.covariance import Covariance
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule
from dnnrepair.sites import Kind
from dnnrepair.snippets import index

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.observation import Observations
    from dnnrepair.sites import Site

ENOUGH_ROWS = 64  # few rows are correlated by chance
SHOWN = 8  # pairs spelled out


@rule("WGT001")
@dataclass(frozen=True, slots=True)
class DuplicateUnits:
    """Units of a layer that compute the same up to sign and scale.

    ## What it measures
    The correlation of each pair of pre-activations on the data; units are duplicates where its
    magnitude exceeds 0.9999. Constant units are left out. The measured number is the share of units
    that repeat another one.

    ## Why it matters
    A layer with duplicates is narrower than it looks, and duplicates tend to stay: they get nearly
    the same gradient.

    ## What to do
    Merge two equal units by adding their outgoing weights, which changes no prediction, or draw the
    incoming weights of one of them again.

    ## Limits
    Hidden layers with at least 4 inputs, before the activation or normalization, at most 512 of
    their units. Similar weights alone prove nothing where the fan-in is small.

    ## Source
    Limits measured: healthy networks have none; cosines of weights reach 0.995 in healthy ones.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "duplicate-units"
    needs: ClassVar[frozenset[type]] = frozenset({Covariance})
    wants: ClassVar[frozenset[type]] = frozenset()
    max_correlation: float = 0.9999  # magnitude, in [0, 1]
    warn_share: float = 0.05  # of units that repeat another, in [0, 1]
    min_fan_in: int = 4  # inputs; fewer cannot tell many units apart

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield a finding per layer with duplicates."""
        for site in seen.sites.of(Kind.AFFINE):
            if not _is_hidden(seen, site):
                continue
            covariance = seen.of(Covariance).get(site.name)
            reason = self._obstacle(seen, site, covariance)
            if covariance is None or reason:
                yield Skip(code=self.code, reason=reason, layer=site.layer)
                continue
            pairs = covariance.duplicates(self.max_correlation)
            if pairs:
                yield self._finding(site, covariance, pairs)

    def _obstacle(self, seen: Observations, site: Site, covariance: Covariance | None) -> str:
        info = seen.tensors.get(site.tensors.get("weight", ""))
        if info and info.fan_in < self.min_fan_in:
            return f"{info.fan_in} inputs cannot tell many units apart"
        if covariance is None:
            return "has a single unit" if site.width < 2 else "was not measured"  # noqa: PLR2004
        if not covariance.finite:
            return "its values are not finite; see NUM001"
        if covariance.rows < ENOUGH_ROWS:
            return f"{covariance.rows} rows observed, correlations need {ENOUGH_ROWS}"
        return ""

    def _finding(
        self, site: Site, covariance: Covariance, pairs: tuple[tuple[int, int], ...]
    ) -> Finding:
        share = len(pairs) / len(covariance.units)
        shown = ", ".join(f"{copy} repeats {first}" for first, copy in pairs[:SHOWN])
        return Finding(
            code=self.code,
            severity=Severity.WARNING if share >= self.warn_share else Severity.NOTE,
            layer=site.layer,
            message=f"{len(pairs)} of {len(covariance.units)} units repeat another unit",
            measured=share,
            limit=self.warn_share,
            healthy="none",
            unit="share",
            where=site.where,
            site=site.name,
            units=tuple(copy for _, copy in pairs),
            evidence=(f"unit {shown}{' and more' if len(pairs) > SHOWN else ''}",),
            remedies=_remedies(site, [copy for _, copy in pairs]),
        )


def _is_hidden(seen: Observations, site: Site) -> bool:
    readers = seen.sites.readers(site)
    return any(reader.kind in (Kind.ACTIVATION, Kind.NORM) for reader in readers)


def _remedies(site: Site, copies: list[int]) -> tuple[Remedy, ...]:
    merge = Remedy(
        advice="Merge each pair: add the copy's outgoing weights to the original's and remove it."
    )
    weight = site.tensors.get("weight")
    if weight is None or "transpose" in site.op or site.settings.get("transposed"):
        return (merge,)
    return (
        Remedy(
            advice="Draw the incoming weights of the copies again and train on.",
            code=f"import torch\n\nweight = model.get_parameter({weight!r})\n"
            "fresh = torch.nn.init.kaiming_normal_(torch.empty_like(weight))\n"
            f"with torch.no_grad():\n    weight{index(copies)} = fresh{index(copies)}",
        ),
        merge,
    )
