"""TRN002: a loss that stays where it was, or grows."""

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

RECENT = 3  # looks whose mean is "now"
SURE = 3  # standard errors: a fall is no noise
GROWN = 2.0  # times the loss at the start: an error
WELL = 0.5  # of the loss by chance: such a network was good to begin with
GUESSING = 0.95  # of the loss by chance, and more: nothing is known

_REMEDIES = (
    Remedy(
        advice="See whether the network can learn at all: train on one batch only until its loss "
        "is near 0. If it cannot, look for wrong labels, a cut gradient or a wrong loss."
    ),
    Remedy(
        advice="Try the learning rate times 10 and divided by 10, for a few hundred steps each.",
        code="for group in optimizer.param_groups:\n    group['lr'] /= 10",
    ),
)


@live_rule("TRN002")
@dataclass(frozen=True, slots=True)
class LossNotDecreasing:
    """Training loss that has not come down since training began.

    ## What it measures
    The mean loss of the last three looks, against the mean of the first ten losses. It has not come
    down if it is less than 1 % lower, and not below the mean of the first look by three standard
    errors of the difference. Neither has that of a classifier that was thrown far off at the start
    and has come back to guessing (95 % of the logarithm of the number of classes, in training and
    at the look) without a further fall over the last three looks.

    ## Why it matters
    Nothing is learned. If the loss has doubled, what was known is being lost.

    ## What to do
    Train on a single batch to see whether the network can learn at all; then look for wrong labels,
    a gradient that is cut off, or a learning rate that is far too high or too low.

    ## Limits
    Only a note where the loss is far below that of guessing: a network that was good to begin with
    need not improve. Losses must be those of the same kind throughout.

    ## Source
    Amazon SageMaker Debugger, rule LossNotDecreasing (0.1 % in 10 steps), taken over looks instead
    of steps, so that noise between batches does not decide.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "loss-not-decreasing"
    needs: ClassVar[frozenset[type]] = frozenset({Training})
    wants: ClassVar[frozenset[type]] = frozenset({Predictions})
    min_looks: int = 5  # before anything is said, at least 4
    min_drop: float = 0.01  # of the loss at the start, in [0, 1]

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield one finding about the run."""
        training = seen.whole(Training)
        if training is None or not training.blocks:
            yield Skip(code=self.code, reason=NO_LOSS)
            return
        blocks = [block for block in training.blocks if block.count]
        if len(blocks) < self.min_looks or not abs(training.start) > 0:
            reason = f"needs finite losses at {self.min_looks} looks, there were {len(blocks)}"
            yield Skip(code=self.code, reason=reason)
            return
        recent, first = blocks[-RECENT:], blocks[0]
        now = sum(block.mean for block in recent) / RECENT
        drop = (training.start - now) / abs(training.start)
        noise = math.hypot(first.error, math.hypot(*(block.error for block in recent)) / RECENT)
        fell = drop >= self.min_drop or now < first.mean - SURE * noise
        if fell and not _is_stuck_at_guessing(seen, blocks, now):
            return
        yield Finding(
            code=self.code,
            severity=_severity(seen, now / training.start),
            layer="",
            message=f"the loss was {training.start:.4g} at the start and is {now:.4g} after "
            f"{training.step:,} steps{', no better than guessing' if fell else ''}",
            measured=drop,
            limit=self.min_drop,
            healthy="a lower loss",
            unit="share",
            remedies=_REMEDIES,
        )


def _is_stuck_at_guessing(seen: Observations, blocks: Sequence[LossBlock], now: float) -> bool:
    """Tell whether a classifier does no better than guessing, in training and at the look."""
    predictions, facts = seen.whole(Predictions), seen.facts
    if predictions is None or not facts.labeled or facts.classes < 2 or len(blocks) < 2 * RECENT:  # noqa: PLR2004
        return False
    least = GUESSING * math.log(facts.classes)
    before, recent = blocks[-2 * RECENT : -RECENT], blocks[-RECENT:]
    noise = math.hypot(*(block.error for block in (*before, *recent))) / RECENT
    falling = now < sum(block.mean for block in before) / RECENT - SURE * noise
    return not falling and min(now, predictions.mean_loss) >= least


def _severity(seen: Observations, growth: float) -> Severity:
    if growth >= GROWN:
        return Severity.ERROR
    predictions = seen.whole(Predictions)
    if predictions is not None and seen.facts.labeled and seen.facts.classes > 1:
        chance = math.log(seen.facts.classes)
        if predictions.mean_loss < WELL * chance:
            return Severity.NOTE
    return Severity.WARNING
