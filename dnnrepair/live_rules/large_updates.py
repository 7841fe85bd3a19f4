"""TRN005: steps that move weights by a large part of themselves."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median_low
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.evidence.training import Training
from dnnrepair.finding import Finding, Remedy, Severity, Skip, live_rule
from dnnrepair.live_rules.updates import TOO_FEW, first_step, named, typical

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dnnrepair.observation import Observations

_CLIP = Remedy(
    advice="Clip the gradient before each step.",
    code="import torch\n\n"
    "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # after loss.backward()",
)


@live_rule("TRN005")
@dataclass(frozen=True, slots=True)
class LargeUpdates:
    """Steps that move weights by a large part of themselves.

    ## What it measures
    The norm of what one step changes in a weight, over the norm of the weight: the median of the
    last five looks. At the first five looks also the very first step: not more than half of the
    weights may move by more than their own norm.

    ## Why it matters
    Such a step leaves the region in which the gradient says anything. Units die, activations
    saturate, and the loss jumps. A first step longer than the weights undoes how they were drawn or
    trained before; what is left may be past learning, and take small steps from then on.

    ## What to do
    Lower the learning rate, or warm it up; clip gradients; give a layer a rate of its own.

    ## Limits
    Biases, scales of normalizations and weights that are zero are left out. One step per look is
    measured, and three are needed. Weights before a normalization stand longer steps, since only
    their direction counts; one small layer that a long first step moves is not reported.

    ## Source
    The update ratio of Bottou 2012 and of CS231n, about 1e-3; TheDeepChecker warns outside 1e-4 to
    1e-1. Measured on healthy networks: 1e-5 to 8e-3 after training, under 0.1 during it, and at the
    first step of Adam 0.004 to 0.4, in the median of a network's weights.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "large-updates"
    needs: ClassVar[frozenset[type]] = frozenset({Training})
    wants: ClassVar[frozenset[type]] = frozenset()
    max_ratio: float = 0.1  # norm of the step over norm of the weight
    max_first: float = 1.0  # the same at the first step, for half of the weights

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield one finding about all weights that move too far."""
        ratios, begun = typical(seen), first_step(seen)
        large = {name: ratio for name, ratio in ratios.items() if ratio > self.max_ratio}
        if large:
            yield self._large(large, len(ratios))
        elif begun and median_low(begun.values()) > self.max_first:
            yield self._thrown(begun)
        elif not ratios:
            yield Skip(code=self.code, reason=TOO_FEW)

    def _large(self, large: Mapping[str, float], count: int) -> Finding:
        worst = max(large.values())
        divisor = worst / (self.max_ratio / 10)
        return Finding(
            code=self.code,
            severity=Severity.WARNING,
            layer="",
            message=f"one step moves {len(large)} of {count} weights by more than "
            f"{self.max_ratio:.0%} of themselves, the worst by {worst:.3g} times its norm",
            measured=worst,
            limit=self.max_ratio,
            healthy="1e-5 to 8e-3",
            evidence=(f"largest: {named(large, largest=True)}",),
            remedies=(
                Remedy(
                    advice="Lower the learning rate until a step moves weights by about 1 %.",
                    code=f"for group in optimizer.param_groups:\n    group['lr'] /= {divisor:.2g}",
                ),
                _CLIP,
            ),
        )

    def _thrown(self, begun: Mapping[str, float]) -> Finding:
        far = {name: ratio for name, ratio in begun.items() if ratio > self.max_first}
        usual = median_low(begun.values())
        return Finding(
            code=self.code,
            severity=Severity.WARNING,
            layer="",
            message=f"the first step moved {len(far)} of {len(begun)} weights by more than "
            f"{self.max_first:.0%} of themselves, half of all by {usual:.3g} times their norm and "
            "more",
            measured=usual,
            limit=self.max_first,
            healthy="0.004 to 0.4",
            evidence=(f"largest: {named(far, largest=True)}",),
            remedies=(
                Remedy(
                    advice="Start again from the weights before training, at a learning rate whose "
                    "first step moves them by at most 10 %, or with a warm-up from there.",
                    code="for group in optimizer.param_groups:\n"
                    f"    group['lr'] /= {usual / 0.1:.2g}",
                ),
                _CLIP,
            ),
        )
