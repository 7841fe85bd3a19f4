"""GRD001: the gradient fades on its way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.backward import first_to_last, per_layer, weights
from dnnrepair.evidence.gradient import Gradient
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dnnrepair.backward import Weight
    from dnnrepair.observation import Observations

_FLAT = frozenset({"sigmoid", "tanh", "hardsigmoid", "hardtanh", "softsign"})


@rule("GRD001")
@dataclass(frozen=True, slots=True)
class VanishingGradient:
    """Gradient that fades between the last layer and the first.

    ## What it measures
    On at least 4 batches of 128 samples, in evaluation mode: the norm of the loss gradient in the
    first weight over that in the last, and the smallest over the largest root mean square of the
    gradient of any weight. Both are taken twice, plainly and times the norm (or root mean square)
    of the weight, and the larger counts: rescaling a layer before a normalization is no fault.

    ## Why it matters
    The first layers then hardly move while the last ones learn.

    ## What to do
    Replace sigmoid and tanh in hidden layers by the ReLU family, draw the weights anew (He et
    al.), and add normalization or shortcuts.

    ## Limits
    Relative only: gradients of a converged network are small everywhere. Embeddings, frozen weights
    and weights without any gradient (GRD004) are left out.

    ## Source
    Hochreiter 1991; Glorot and Bengio 2010. Healthy networks: first to last at least 0.087,
    smallest to largest at least 1/53.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "vanishing-gradient"
    needs: ClassVar[frozenset[type]] = frozenset({Gradient})
    wants: ClassVar[frozenset[type]] = frozenset()
    min_first_to_last: float = 1e-3  # above 0
    min_rms_ratio: float = 1e-4  # above 0

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield one finding about the network's first or weakest weight."""
        found = weights(seen)
        if len(found) < 2:  # noqa: PLR2004 - a ratio needs two
            reason = "needs at least two weights with a finite gradient that is not zero"
            yield Skip(code=self.code, reason=reason)
            return
        first, weakest = max(first_to_last(found)), _weakest(found)
        if first < self.min_first_to_last:
            said = f"the gradient of the first weight is {first:.2g} of the last one's"
            yield self._finding(said, found[0], first, self.min_first_to_last, seen, found)
        elif weakest[0] < self.min_rms_ratio:
            value, where = weakest
            said = f"the weakest gradient is {value:.2g} of the strongest, root mean square"
            yield self._finding(said, where, value, self.min_rms_ratio, seen, found)

    def _finding(
        self,
        message: str,
        weight: Weight,
        measured: float,
        limit: float,
        seen: Observations,
        found: Sequence[Weight],
    ) -> Finding:
        return Finding(
            code=self.code,
            severity=Severity.WARNING,
            layer=weight.site.layer,
            message=message,
            measured=measured,
            limit=limit,
            healthy="first to last at least 0.087, weakest to strongest at least 0.019",
            where=weight.site.where,
            site=weight.site.name,
            evidence=(per_layer(found),),
            remedies=_remedies(seen, found),
        )


def _weakest(found: Sequence[Weight]) -> tuple[float, Weight]:
    """Return the smallest over the largest root mean square, and whose it is.

    Of the plain ratio and that of gradients times weights, the larger counts.
    """
    plain = [w.gradient.rms for w in found]
    scaled = [w.pull / max(w.gradient.size, 1) for w in found]
    ratios = [min(values) / max(values) for values in (plain, scaled)]
    return max(ratios), found[plain.index(min(plain))]


def _remedies(seen: Observations, found: Sequence[Weight]) -> tuple[Remedy, ...]:
    flat = {s.op for s in seen.sites.of(Kind.ACTIVATION)} & _FLAT
    layers = list(dict.fromkeys(w.info.name.rpartition(".")[0] for w in found[:-1]))
    code = (
        "import torch\n"
        f"for name in {layers!r}:\n"
        "    for key, value in model.get_submodule(name).named_parameters(recurse=False):\n"
        "        if value.dim() > 1:\n"
        "            torch.nn.init.kaiming_normal_(value, nonlinearity='relu')"
    )
    draw = Remedy(advice="Draw the hidden weights anew (He et al.) and train again.", code=code)
    norm = Remedy(advice="Add batch or layer normalization, or shortcuts around pairs of layers.")
    if not flat:
        return (draw, norm)
    names = " and ".join(sorted(flat))
    swap = Remedy(
        advice=f"Replace {names} in the hidden layers by ReLU or GELU, whose slope reaches 1."
    )
    return (swap, draw, norm)
