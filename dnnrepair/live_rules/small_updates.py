"""TRN006: steps that move weights by next to nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.evidence.gradient import Gradient
from dnnrepair.evidence.training import Training
from dnnrepair.finding import Finding, Remedy, Severity, Skip, live_rule
from dnnrepair.live_rules.updates import TOO_FEW, named, typical

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dnnrepair.observation import Observations

_RAISE = Remedy(
    advice="Raise the learning rate, ten times at first.",
    code="for group in optimizer.param_groups:\n    group['lr'] *= 10",
)
_PRECISE = Remedy(advice="Keep weights in float32 (mixed precision) if they are in less.")
_REVIVE = Remedy(
    advice="Do not raise the learning rate: these weights took far longer steps at first, and "
    "their gradient has gone since. Look for dead or saturated units behind them; if the loss is "
    "no better than guessing, start again at a lower rate."
)


@live_rule("TRN006")
@dataclass(frozen=True, slots=True)
class SmallUpdates:
    """Steps that move weights by next to nothing.

    ## What it measures
    The norm of what one step changes in a weight, over the norm of the weight: the median of the
    last five looks.

    ## Why it matters
    The weight stays as it was drawn. In low precision it does not move at all: the step is rounded
    away.

    ## What to do
    Raise the learning rate; look for a gradient that fades or is scaled down; keep a float32 copy
    of weights in float16 or bfloat16. Where the first step was far longer, the learning rate is not
    what is small: the gradient is gone, as behind units that died.

    ## Limits
    Steps at less than a hundredth of the highest learning rate of the run are left out (the end of
    a schedule), as are weights without any gradient (GRD004), biases, scales of normalizations and
    weights that are zero.

    ## Source
    As TRN005. Measured on healthy networks: 1e-5 to 8e-3.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "small-updates"
    needs: ClassVar[frozenset[type]] = frozenset({Training})
    wants: ClassVar[frozenset[type]] = frozenset({Gradient})
    min_ratio: float = 1e-6  # norm of the step over norm of the weight
    max_faded: float = 1e-3  # of the first step's ratio: the gradient is gone, in [0, 1]

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield one finding about all weights that hardly move."""
        still = {n for n, gradient in seen.of(Gradient).items() if gradient.vanished}
        ratios = {
            name: r for name, r in typical(seen, least_rate=0.01).items() if name not in still
        }
        if not ratios:
            yield Skip(code=self.code, reason=TOO_FEW)
            return
        small = {name: ratio for name, ratio in ratios.items() if ratio < self.min_ratio}
        if not small:
            return
        faded = self._faded(seen, small)
        yield Finding(
            code=self.code,
            severity=Severity.WARNING,
            layer="",
            message=f"one step moves {len(small)} of {len(ratios)} weights by less than "
            f"{self.min_ratio:.0e} of themselves",
            measured=min(small.values()),
            limit=self.min_ratio,
            healthy="1e-5 to 8e-3",
            evidence=(
                f"smallest: {named(small, largest=False)}",
                *([f"at the first step: {named(faded, largest=True)}"] if faded else ()),
            ),
            remedies=(_REVIVE,) if len(faded) == len(small) else (_RAISE, _PRECISE),
        )

    def _faded(self, seen: Observations, small: Mapping[str, float]) -> dict[str, float]:
        """Return the first step's ratio of those that took far longer steps then, by name."""
        training = seen.whole(Training)
        begun = training.first_updates if training else {}
        return {
            n: begun[n] for n, r in small.items() if n in begun and r < self.max_faded * begun[n]
        }
