"""INI003: an initializer made for another activation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.evidence.initializer import InitializerFit
from dnnrepair.evidence.summary import TensorSummary
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule
from dnnrepair.observation import Phase
from dnnrepair.rules.initial_scale import InitialScale
from dnnrepair.signal import hidden, is_plain
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.observation import Observations
    from dnnrepair.sites import Site

_RELU = frozenset({"relu", "leaky_relu", "gelu", "silu"})
_ADVICE = {
    "relu": ("kaiming_normal_", ", nonlinearity='relu'"),
    "tanh": ("xavier_normal_", ", gain=5 / 3"),
    "selu": ("kaiming_normal_", ", nonlinearity='linear'"),
}


@rule("INI003")
@dataclass(frozen=True, slots=True)
class InitialMismatch:
    """Weights drawn by an initializer that was made for another activation.

    ## What it measures
    The known initializer nearest to each fresh weight by log variance and by Kolmogorov-Smirnov
    distance to a uniform and a normal distribution, against the activation that follows: Glorot or
    LeCun before ReLU, or He before tanh, at depth 6 or more; SELU without LeCun normal, or with
    dropout or batch normalization.

    ## Why it matters
    The gain of an initializer makes up for what its activation takes away. The wrong one is a small
    error per layer, which depth multiplies.

    ## What to do
    Draw the weights with the initializer of the activation: He for ReLU, Glorot with gain 5/3 for
    tanh, LeCun normal for SELU, with AlphaDropout in place of Dropout.

    ## Limits
    Fresh weights of a known scale only; training moves the scale. A warning only where INI002 finds
    the signals out of scale, else a note.

    ## Source
    Glorot and Bengio 2010; He et al. 2015, arXiv:1502.01852; Klambauer et al. 2017,
    arXiv:1706.02515, section 3.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "initial-mismatch"
    needs: ClassVar[frozenset[type]] = frozenset({InitializerFit, TensorSummary})
    wants: ClassVar[frozenset[type]] = InitialScale.wants
    min_depth: int = 6  # hidden layers from which a wrong gain matters, at least 1

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield one finding per wrong pair of initializer and activation."""
        if seen.facts.mode == "weights":
            yield Skip(code=self.code, reason="needs an architecture: give --arch")
            return
        if seen.facts.phase is not Phase.INIT:
            yield Skip(code=self.code, reason="judges fresh weights; this network is trained")
            return
        wrong: dict[str, list[tuple[Site, str]]] = {}
        for site, activation, weight in self._pairs(seen):
            said = self._mismatch(seen, activation, seen.of(InitializerFit)[weight])
            if said:
                wrong.setdefault(said, []).append((site, weight))
        scaled = any(isinstance(found, Finding) for found in InitialScale().check(seen))
        severity = Severity.WARNING if scaled else Severity.NOTE
        for said, places in wrong.items():
            yield self._finding(seen, said, places, severity)

    def _pairs(self, seen: Observations) -> Iterator[tuple[Site, Site, str]]:
        """Yield layer, activation and weight where the weight's initializer is known."""
        for site, activation in hidden(seen.sites):
            weight = site.tensors.get("weight", "")
            fit = seen.of(InitializerFit).get(weight)
            summary = seen.of(TensorSummary).get(weight)
            if fit and fit.matches and fit.known_scale and summary and not summary.low_bit:
                yield site, activation, weight

    def _mismatch(self, seen: Observations, activation: Site, fit: InitializerFit) -> str:
        """Return what is wrong about a pair, "" if nothing is."""
        he = fit.nearest.startswith(("kaiming", "xavier_relu")) and "tanh" not in fit.nearest
        weak = fit.nearest.startswith(("lecun", "xavier", "torch", "orthogonal")) and not he
        deep = is_plain(seen.sites) and sum(1 for _ in hidden(seen.sites)) >= self.min_depth
        if activation.op == "selu":
            lecun = weak and fit.distribution == "normal"
            if not lecun:
                return f"{fit.nearest} before selu, which needs LeCun normal"
            if any(
                s.op in ("dropout", "batch_norm") for s in seen.sites.of(Kind.DROPOUT, Kind.NORM)
            ):
                return "selu together with plain dropout or batch normalization"
        if deep and activation.op in _RELU and weak and "tanh" not in fit.nearest:
            return f"{fit.nearest} before {activation.op}, which needs He"
        if deep and activation.op == "tanh" and he:
            return f"{fit.nearest} before tanh, which needs Glorot"
        return ""

    def _finding(
        self, seen: Observations, said: str, places: list[tuple[Site, str]], severity: Severity
    ) -> Finding:
        site, weight = places[0]
        fit = seen.of(InitializerFit)[weight]
        names = [name for _, name in places]
        readers = seen.sites.readers(site)
        op = next((r.op for r in readers if r.kind is Kind.ACTIVATION), "relu")
        draw, more = _ADVICE.get(op, _ADVICE["relu"])
        return Finding(
            code=self.code,
            severity=severity,
            layer=site.layer,
            message=f"{len(places)} layers: {said}",
            measured=fit.gain2,
            limit={"selu": 1.0, "tanh": 25 / 9}.get(op, 2.0),
            healthy="fan_in * Var(W) of 2 before ReLU, 25/9 before tanh, 1 before SELU",
            where=site.where,
            site=site.name,
            evidence=(f"layers {', '.join(repr(place.layer) for place, _ in places)}",),
            remedies=(
                Remedy(
                    advice="Draw the weights with the initializer of the activation.",
                    code=f"import torch\n\nfor name in {names!r}:\n"
                    f"    torch.nn.init.{draw}(model.get_parameter(name){more})",
                ),
            ),
        )
