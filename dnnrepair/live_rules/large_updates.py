"""TRN005: steps that move weights by a large part of themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.evidence.training import Training
from dnnrepair.finding import Finding, Remedy, Severity, Skip, live_rule
from dnnrepair.live_rules.updates import TOO_FEW, named, typical

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    last five looks.

    ## Why it matters
    Such a step leaves the region in which the gradient says anything. Units die, activations
    saturate, and the loss jumps.

    ## What to do
    Lower the learning rate, or warm it up; clip gradients; give a layer a rate of its own.

    ## Limits
    Biases, scales of normalizations and weights that are zero are left out. One step per look is
    measured, and three are needed.

    ## Source
    The update ratio of Bottou 2012 and of CS231n, about 1e-3; TheDeepChecker warns outside 1e-4 to
    1e-1. Measured on healthy networks: 1e-5 to 8e-3 after training, under 0.1 during it.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "large-updates"
    needs: ClassVar[frozenset[type]] = frozenset({Training})
    wants: ClassVar[frozenset[type]] = frozenset()
    max_ratio: float = 0.1  # norm of the step over norm of the weight

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield one finding about all weights that move too far."""
        ratios = typical(seen)
        if not ratios:
            yield Skip(code=self.code, reason=TOO_FEW)
            return
        large = {name: ratio for name, ratio in ratios.items() if ratio > self.max_ratio}
        if not large:
            return
        worst = max(large.values())
        divisor = worst / (self.max_ratio / 10)
        yield Finding(
            code=self.code,
            severity=Severity.WARNING,
            layer="",
            message=f"one step moves {len(large)} of {len(ratios)} weights by more than "
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
