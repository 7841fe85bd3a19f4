"""TRN003: a loss that falls too slowly to get anywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.evidence.predictions import Predictions
from dnnrepair.evidence.training import Training
from dnnrepair.finding import Finding, Remedy, Severity, Skip, live_rule
from dnnrepair.live_rules.non_finite_loss import NO_LOSS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dnnrepair.evidence.training import LossBlock
    from dnnrepair.observation import Observations

HALF = 5  # looks on either side of the comparison
CHANCE = 0.9  # of the loss by chance: a network that has learned anything does better

_REMEDIES = (
    Remedy(
        advice="Raise the learning rate, three times at first.",
        code="for group in optimizer.param_groups:\n    group['lr'] *= 3",
    ),
    Remedy(advice="Use Adam in place of plain gradient descent, or add momentum."),
    Remedy(advice="Add normalization, and draw the initial weights to fit the activations."),
)


@live_rule("TRN003")
@dataclass(frozen=True, slots=True)
class SlowConvergence:
    """Training loss that falls, but too slowly to get anywhere.

    ## What it measures
    The mean loss of the last five looks against that of the five before. It is slow if the fall is
    real (more than twice its standard error) but under 2 %, while more than 80 % of the loss at the
    start is left.

    ## Why it matters
    At that pace training takes far longer than it has to.

    ## What to do
    Raise the learning rate; use Adam or momentum; add normalization; mend the initial weights.

    ## Limits
    A warning only for a classifier that still does no better than guessing; elsewhere a note, since
    nobody knows how low the loss can get.

    ## Source
    Zhang et al. 2021 (AutoTrainer, ICSE), symptom "slow convergence": accuracy changes by less than
    0.01; here on the loss, and only where the change is beyond noise.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "slow-convergence"
    needs: ClassVar[frozenset[type]] = frozenset({Training})
    wants: ClassVar[frozenset[type]] = frozenset({Predictions})
    min_fall: float = 0.02  # of the loss from five looks to the next five, in [0, 1]
    min_left: float = 0.8  # of the loss at the start, in [0, 1]

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield one finding about the run."""
        training = seen.whole(Training)
        if training is None or not training.blocks:
            yield Skip(code=self.code, reason=NO_LOSS)
            return
        blocks = [block for block in training.blocks if block.count]
        if len(blocks) < 2 * HALF or not training.start > 0:
            reason = f"needs positive losses at {2 * HALF} looks, there were {len(blocks)}"
            yield Skip(code=self.code, reason=reason)
            return
        before, after = blocks[-2 * HALF : -HALF], blocks[-HALF:]
        (old, old_error), (new, new_error) = _mean(before), _mean(after)
        fall = (old - new) / old
        real = old - new > 2 * math.hypot(old_error, new_error)
        if not (real and fall < self.min_fall and new > self.min_left * training.start):
            return
        steps = (after[-1].step - before[-1].step) * math.log(2) / -math.log1p(-fall)
        yield Finding(
            code=self.code,
            severity=Severity.WARNING if _as_by_chance(seen) else Severity.NOTE,
            layer="",
            message=f"the loss fell from {old:.4g} to {new:.4g} over the last {2 * HALF} looks; at "
            f"this pace it is halved in {steps:,.0f} steps",
            measured=fall,
            limit=self.min_fall,
            unit="share",
            evidence=(f"it was {training.start:.4g} at the start",),
            remedies=_REMEDIES,
        )


def _mean(blocks: Sequence[LossBlock]) -> tuple[float, float]:
    """Return the mean of some blocks and its standard error."""
    errors = [block.error for block in blocks if math.isfinite(block.error)]
    mean = sum(block.mean for block in blocks) / len(blocks)
    return mean, math.hypot(*errors) / len(blocks)


def _as_by_chance(seen: Observations) -> bool:
    predictions = seen.whole(Predictions)
    if predictions is None or not seen.facts.labeled or seen.facts.classes < 2:  # noqa: PLR2004
        return False
    return predictions.mean_loss > CHANCE * math.log(seen.facts.classes)
