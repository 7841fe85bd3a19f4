"""ACT004: a softmax that picks one and knows no other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dnnrepair.evidence.heads import Heads
from dnnrepair.evidence.predictions import Predictions
from dnnrepair.evidence.softmax_use import SoftmaxUse
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule
from dnnrepair.observation import Phase, Task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.observation import Observations

MIN_ROWS = 64  # fewer allow no statement


@rule("ACT004")
@dataclass(frozen=True, slots=True)
class SoftmaxSaturation:
    """Softmax that puts nearly all weight on one choice.

    ## What it measures
    Inside the network: the mean entropy of the distributions over that of a uniform choice among
    as many keys. At the output: the 10th percentile of the top probability.

    ## Why it matters
    A saturated softmax passes no gradient back, and attention becomes a hard pick.

    ## What to do
    Scale the scores by 1/sqrt(d), normalize queries and keys, divide the logits by a temperature,
    train with label smoothing.

    ## Limits
    Sure outputs are a note unless the confidence exceeds the accuracy by 0.1: a network may be
    right to be sure. Outputs of untrained networks are not judged.

    ## Source
    Vaswani et al. 2017, arXiv:1706.03762, section 3.2.1. Healthy attention: 0.39 to 0.996.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "softmax-saturation"
    needs: ClassVar[frozenset[type]] = frozenset({Predictions})
    wants: ClassVar[frozenset[type]] = frozenset({Heads, SoftmaxUse})
    min_entropy: float = 0.02  # of a uniform choice, in [0, 1]
    max_top: float = 0.999  # 10th percentile of the top probability, in [0, 1]
    max_gap: float = 0.1  # between confidence and accuracy, in [0, 1]

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield a finding per saturated softmax inside, and one about the output."""
        for place, rows, entropy in _inside(seen):
            layer = seen.sites[place].layer
            if rows < MIN_ROWS or not math.isfinite(entropy):
                reason = f"{rows} finite distributions over several choices, {MIN_ROWS} needed"
                yield Skip(code=self.code, reason=reason, layer=layer)
            elif entropy < self.min_entropy:
                yield self._hidden(seen, place, entropy)
        found = seen.whole(Predictions)
        if found is None or seen.facts.task is not Task.CLASSIFY or found.outputs.nonfinite:
            return
        if seen.facts.phase is Phase.TRAINED and found.p10_top > self.max_top:
            yield self._output(seen, found)

    def _hidden(self, seen: Observations, place: str, entropy: float) -> Finding:
        site = seen.sites[place]
        return Finding(
            code=self.code,
            severity=Severity.WARNING,
            layer=site.layer,
            message=f"its distributions have {entropy:.2g} of the entropy of a uniform choice",
            measured=entropy,
            limit=self.min_entropy,
            healthy="0.39 to 0.996",
            where=site.where,
            site=site.name,
            remedies=(
                Remedy(
                    advice="Scale the scores by 1/sqrt(d), or normalize queries and keys.",
                    code="scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5",
                ),
            ),
        )

    def _output(self, seen: Observations, found: Predictions) -> Finding:
        gap = found.confidence - found.accuracy  # NaN without labels
        last = seen.sites[seen.sites.output] if seen.sites.output else None
        said = f"9 of 10 predictions have a top probability of at least {found.p10_top:.6f}"
        known = f"mean top probability {found.confidence:.3f}, accuracy {found.accuracy:.3f}"
        return Finding(
            code=self.code,
            severity=Severity.WARNING if gap > self.max_gap else Severity.NOTE,
            layer=last.layer if last else "",
            message=said,
            measured=found.p10_top,
            limit=self.max_top,
            healthy="below 0.999, or as accurate as sure",
            unit="share",
            where=last.where if last else None,
            site=last.name if last else "",
            evidence=(known,) if math.isfinite(gap) else (),
            remedies=(
                Remedy(
                    advice="Divide the logits by a temperature, or train with label smoothing.",
                    code="import torch\nloss = torch.nn.CrossEntropyLoss(label_smoothing=0.1)",
                ),
            ),
        )


def _inside(seen: Observations) -> Iterator[tuple[str, int, float]]:
    """Yield place, number of distributions and mean normalized entropy of each softmax inside."""
    for place, heads in seen.of(Heads).items():
        yield place, heads.queries, float(np.mean(heads.mean_entropy))
    for place, use in seen.of(SoftmaxUse).items():
        yield place, use.rows, use.mean_entropy
