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
    from collections.abc import Iterator

    from dnnrepair.observation import Observations

RECENT = 3  # looks whose mean is "now"
GROWN = 2.0  # times the loss at the start: an error
WELL = 0.5  # of the loss by chance: such a network was good to begin with

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
    down if it is less than 1 % lower, and not below the first look's by twice its standard error.

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
        now = sum(block.mean for block in blocks[-RECENT:]) / RECENT
        drop = (training.start - now) / abs(training.start)
        first = blocks[0]
        if drop >= self.min_drop or now < first.mean - 2 * (first.error or 0.0):
            return
        yield Finding(
            code=self.code,
            severity=_severity(seen, now / training.start),
            layer="",
            message=f"the loss was {training.start:.4g} at the start and is {now:.4g} after "
            f"{training.step:,} steps",
            measured=drop,
            limit=self.min_drop,
            healthy="a lower loss",
            unit="share",
            remedies=_REMEDIES,
        )


def _severity(seen: Observations, growth: float) -> Severity:
    if growth >= GROWN:
        return Severity.ERROR
    predictions = seen.whole(Predictions)
    if predictions is not None and seen.facts.labeled and seen.facts.classes > 1:
        chance = math.log(seen.facts.classes)
        if predictions.mean_loss < WELL * chance:
            return Severity.NOTE
    return Severity.WARNING
