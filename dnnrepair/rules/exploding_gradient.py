"""GRD002: the gradient is not finite, or far too strong."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.backward import first_to_last, per_layer, reader, weights
from dnnrepair.evidence.gradient import Gradient
from dnnrepair.evidence.predictions import Predictions
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dnnrepair.backward import Weight
    from dnnrepair.observation import Observations

_CLIP = Remedy(
    advice="Clip the gradient's norm between backward and the optimizer's step.",
    code="import torch\ntorch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)",
)
_LATER = Remedy(advice="Lower the learning rate, add normalization, draw large weights anew.")


@rule("GRD002")
@dataclass(frozen=True, slots=True)
class ExplodingGradient:
    """Gradient that is not finite, or far stronger than the weights it moves.

    ## What it measures
    On at least 4 batches of 128 samples, in evaluation mode: NaN or infinite gradients; the largest
    norm of a gradient over the norm of its weight; the norm of the first weight's gradient over
    that of the last (plainly and times the norm of the weights, whichever is smaller).

    ## Why it matters
    One step of training throws the weights away.

    ## What to do
    Clip the gradient, lower the learning rate, draw large weights anew, add normalization.

    ## Limits
    Relative only; an absolute limit would depend on the loss and the batch. A weight that is zero
    has no ratio. Embeddings are left out.

    ## Source
    Pascanu, Mikolov and Bengio 2013, arXiv:1211.5063. Healthy networks: ratio at most 7.0 (a fresh
    ResNet; trained 0.10), first to last at most 11.9.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "exploding-gradient"
    needs: ClassVar[frozenset[type]] = frozenset({Gradient})
    wants: ClassVar[frozenset[type]] = frozenset({Predictions})
    max_ratio: float = 100.0  # gradient norm / weight norm, above 0
    max_first_to_last: float = 100.0  # above 0

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield an error about values that are not finite, else a warning about the strongest."""
        broken = [name for name, found in seen.of(Gradient).items() if found.nonfinite]
        if broken and _is_broken_forward(seen):
            yield Skip(code=self.code, reason="weights or predictions are not finite; see NUM001")
            return
        if broken:
            yield self._nonfinite(broken, seen)
            return
        found = weights(seen)
        if not found:
            yield Skip(code=self.code, reason="no weight has a gradient other than zero")
            return
        strongest = max(found, key=lambda w: w.gradient.ratio)
        first = min(first_to_last(found))
        if strongest.gradient.ratio > self.max_ratio:
            value = strongest.gradient.ratio
            said = f"the gradient is {value:.3g} times as large as the weight it moves"
            yield self._finding(said, strongest, value, self.max_ratio, found)
        elif first > self.max_first_to_last:
            said = f"the gradient of the first weight is {first:.3g} times the last one's"
            yield self._finding(said, found[0], first, self.max_first_to_last, found)

    def _finding(
        self, message: str, weight: Weight, value: float, limit: float, found: Sequence[Weight]
    ) -> Finding:
        return Finding(
            code=self.code,
            severity=Severity.WARNING,
            layer=weight.site.layer,
            message=message,
            measured=value,
            limit=limit,
            healthy="gradient / weight at most 7.0, first to last at most 11.9",
            where=weight.site.where,
            site=weight.site.name,
            evidence=(per_layer(found),),
            remedies=(_CLIP, _LATER),
        )

    def _nonfinite(self, names: Sequence[str], seen: Observations) -> Finding:
        info = seen.tensors[names[0]]
        site = reader(seen, info)
        count = sum(seen.of(Gradient)[name].nonfinite for name in names)
        return Finding(
            code=self.code,
            severity=Severity.ERROR,
            layer=site.layer if site else info.layer,
            message=f"{count} gradient values in {len(names)} parameters are NaN or infinite",
            measured=float(count),
            limit=0.0,
            healthy="0",
            unit="values",
            where=site.where if site else None,
            site=info.site,
            evidence=(f"the first is {names[0]!r}",),
            remedies=(
                Remedy(
                    advice="Let torch name the operation whose backward pass fails.",
                    code="import torch\ntorch.autograd.set_detect_anomaly(True)",
                ),
                _CLIP,
            ),
        )


def _is_broken_forward(seen: Observations) -> bool:
    """Tell whether values are not finite before any gradient is taken."""
    found = seen.whole(Predictions)
    weights_broken = any(not math.isfinite(g.weight_norm) for g in seen.of(Gradient).values())
    return weights_broken or (found is not None and found.outputs.nonfinite > 0)
