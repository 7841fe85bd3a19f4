"""ACT007: layers whose units all say the same, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dnnrepair.evidence.covariance import Covariance
from dnnrepair.evidence.moments import Moments
from dnnrepair.evidence.token_cosine import TokenCosine
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule
from dnnrepair.preactivations import feeds_gate, is_gate, is_output
from dnnrepair.residual import residuals
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.observation import Observations
    from dnnrepair.sites import Site, Sites

BINARY = 2  # outputs: one direction is then all that the hidden layers need
REDRAW = Remedy(
    advice="Re-draw the layer's weights, or factor it into a narrower one, and train on."
)
SKIPS = Remedy(advice="Check that every block adds its input back (residual connection).")


@rule("ACT007")
@dataclass(frozen=True, slots=True)
class RankCollapse:
    """Layers whose units all say the same, units that say nothing, tokens that are all alike.

    ## What it measures
    The share of a layer's variance along its first principal direction, before the activation,
    taken both of the covariance and of the correlation matrix, the smaller of the two; units whose
    standard deviation is below a millionth of their size; and in networks with attention the mean
    cosine between the tokens of a sequence, in the deeper half of the residual stream.

    ## Why it matters
    A layer of rank one passes a single number on, however many units it has. Tokens that have
    become alike carry no more than their mean.

    ## What to do
    Re-draw the layer's weights; check initialization, weight decay and the place of normalization;
    in attention networks check that the residual connections are there.

    ## Limits
    Networks with one or two outputs need a single direction; their rank is not judged. Left out:
    outputs, gates, layers of at most 4 units, fewer rows than units, and the first convolution,
    which can only show how alike neighboring pixels are. Units that are always 0 are pruned, not
    constant.

    ## Source
    Dong, Cordonnier and Loukas 2021, arXiv:2103.03404 (tokens); Papyan, Han and Donoho 2020,
    arXiv:2008.08186 (few outputs); healthy share at most 0.71.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "rank-collapse"
    needs: ClassVar[frozenset[type]] = frozenset({Covariance, Moments})
    wants: ClassVar[frozenset[type]] = frozenset({TokenCosine})
    max_top_share: float = 0.95  # of the variance, in [0, 1]
    min_width: int = 5  # units, at least 2
    flat: float = 1e-6  # std over largest absolute value of a constant unit, above 0
    warn_constant_share: float = 0.5  # of a layer's units, in [0, 1]
    max_token_cosine: float = 0.98  # in [-1, 1]

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield findings per collapsed layer, and one where tokens become alike."""
        for site in _judged(seen.sites):
            covariance = seen.of(Covariance).get(site.name)
            moments = seen.of(Moments).get(site.name)
            reason = self._obstacle(covariance, moments)
            if reason:
                yield Skip(code=self.code, reason=reason, layer=site.layer)
            elif covariance is not None and moments is not None and site.width >= self.min_width:
                if _answer_width(seen.sites) > BINARY:
                    yield from self._rank(site, covariance)
                yield from self._constant(site, moments)
        yield from self._tokens(seen)

    def _obstacle(self, covariance: Covariance | None, moments: Moments | None) -> str:
        if covariance is None or moments is None:
            return "its output was not measured"
        if not covariance.finite or moments.nonfinite:
            return "its output is not finite; see NUM001"
        if covariance.rows <= len(covariance.units):
            return f"{covariance.rows} rows do not show the rank of {len(covariance.units)} units"
        return ""

    def _rank(self, site: Site, covariance: Covariance) -> Iterator[Finding]:
        varying = int((~covariance.constant).sum())
        if varying < self.min_width or covariance.top_share < self.max_top_share:
            return
        share = min(covariance.top_share, _correlated_share(covariance, varying))
        if share >= self.max_top_share:
            message = (
                f"{100 * share:.1f} % of the variance of {varying} units is along one direction"
            )
            rank = f"effective rank {covariance.effective_rank:.2f} of {site.width}"
            yield self._finding(
                site, Severity.WARNING, message, (share, self.max_top_share), (rank,), (REDRAW,)
            )

    def _constant(self, site: Site, moments: Moments) -> Iterator[Finding]:
        size = np.maximum(np.abs(moments.low), np.abs(moments.high))
        units = np.flatnonzero((moments.std < self.flat * size) & (size > 0))
        share = len(units) / len(size)
        if len(units):
            yield self._finding(
                site,
                Severity.WARNING if share >= self.warn_constant_share else Severity.NOTE,
                f"{len(units)} of {len(size)} units have the same value on all rows",
                (share, self.warn_constant_share),
                (),
                (REDRAW,),
                tuple(units.tolist()),
            )

    def _tokens(self, seen: Observations) -> Iterator[Finding]:
        stream = [r.site for r in residuals(seen.sites) if r.site.name in seen.of(TokenCosine)]
        for site in stream[len(stream) // 2 :]:
            found = seen.of(TokenCosine)[site.name]
            if found.sequences and found.mean > self.max_token_cosine:
                message = f"the tokens of a sequence are alike (mean cosine {found.mean:.3f})"
                numbers = (found.mean, self.max_token_cosine)
                yield self._finding(site, Severity.WARNING, message, numbers, (), (SKIPS,))
                return

    def _finding(
        self,
        site: Site,
        severity: Severity,
        message: str,
        numbers: tuple[float, float],
        evidence: tuple[str, ...],
        remedies: tuple[Remedy, ...],
        units: tuple[int, ...] = (),
    ) -> Finding:
        return Finding(
            code=self.code,
            severity=severity,
            layer=site.layer,
            message=message,
            measured=numbers[0],
            limit=numbers[1],
            healthy="share at most 0.71, no constant unit",
            unit="share",
            where=site.where,
            site=site.name,
            units=units,
            evidence=evidence,
            remedies=remedies,
        )


def _answer_width(sites: Sites) -> int:
    return sites[sites.output].width if sites.output else 0


def _correlated_share(covariance: Covariance, varying: int) -> float:
    """Return the first eigenvalue's share of the correlation matrix: scales do not count."""
    return float(np.linalg.eigvalsh(covariance.correlations)[-1]) / varying


def _judged(sites: Sites) -> Iterator[Site]:
    """Yield affine outputs, or the batch norm after them, that are neither output nor gate."""
    for site in sites.of(Kind.AFFINE, Kind.NORM, Kind.RECURRENT):
        if is_output(sites, site) or is_gate(sites, site) or feeds_gate(sites, site):
            continue
        readers = sites.readers(site)
        if site.kind is Kind.NORM and not any(r.kind is Kind.ACTIVATION for r in readers):
            continue
        if site.kind is Kind.AFFINE and all(r.kind is Kind.NORM for r in readers):
            continue
        if not _is_first_convolution(sites, site):
            yield site


def _is_first_convolution(sites: Sites, site: Site) -> bool:
    """Tell whether a convolution, or the norm behind it, reads the network's input itself."""
    affine: Site | None = sites.source(site) if site.kind is Kind.NORM else site
    if affine is None or not affine.op.startswith("conv"):
        return False
    source = sites.source(affine)
    return source is None or source.kind is Kind.INPUT
