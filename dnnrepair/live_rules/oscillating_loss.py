"""TRN004: a loss that jumps up and down."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.evidence.training import Training
from dnnrepair.finding import Finding, Remedy, Severity, Skip, live_rule
from dnnrepair.live_rules.non_finite_loss import NO_LOSS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dnnrepair.evidence.training import LossBlock
    from dnnrepair.observation import Observations

RECENT = 7  # looks that are judged
ENOUGH = 100  # losses in them
TURNS = 4  # swings in turn of the means, of at most RECENT - 1
SURE = 3  # standard errors: a swing is no noise

_REMEDIES = (
    Remedy(
        advice="Lower the learning rate, three times at first.",
        code="for group in optimizer.param_groups:\n    group['lr'] /= 3",
    ),
    Remedy(
        advice="Clip the gradient before each step.",
        code="import torch\n\n"
        "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # after loss.backward()",
    ),
    Remedy(advice="Use larger batches, and make sure that the data are shuffled."),
)


@live_rule("TRN004")
@dataclass(frozen=True, slots=True)
class OscillatingLoss:
    """Training loss that jumps up and down, beyond the noise between batches.

    ## What it measures
    Over the last seven looks. From step to step: the correlation of neighboring losses, which is
    about 0 for mere noise and clearly negative where each step undoes the last, and their spread
    against the loss at the start. From look to look: how often the mean turns, each swing beyond
    three standard errors and a tenth of the loss at the start.

    ## Why it matters
    Steps overshoot: the network does not settle, however long it trains.

    ## What to do
    Lower the learning rate; clip gradients; use larger batches; shuffle the data.

    ## Limits
    Needs 100 losses. Noise from small batches alone is not reported. Data that come sorted, or
    tasks that take turns, swing too.

    ## Source
    Zhang et al. 2021 (AutoTrainer, ICSE), symptom "oscillating loss"; von Neumann 1941 for the
    spread that ignores a trend.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "oscillating-loss"
    needs: ClassVar[frozenset[type]] = frozenset({Training})
    wants: ClassVar[frozenset[type]] = frozenset()
    min_spread: float = 0.1  # of the loss at the start
    max_correlation: float = -0.4  # of neighboring losses, in [-1, 0]

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield one finding about the run."""
        training = seen.whole(Training)
        if training is None or not training.blocks:
            yield Skip(code=self.code, reason=NO_LOSS)
            return
        blocks = [block for block in training.blocks[-RECENT:] if block.count]
        losses = sum(block.count for block in blocks)
        if losses < ENOUGH or not abs(training.start) > 0:
            yield Skip(code=self.code, reason=f"needs {ENOUGH} finite losses, there were {losses}")
            return
        size = abs(training.start)
        correlation = _pooled(blocks)
        spread = max(block.deviation for block in blocks[-3:]) / size
        if correlation <= self.max_correlation and spread >= self.min_spread:
            said = (
                f"each step undoes the last: neighboring losses correlate by {correlation:.2f} and "
                f"spread over {spread:.0%} of the loss at the start"
            )
            yield self._finding(said, correlation, self.max_correlation)
        elif len(swings := _swings(blocks, self.min_spread * size)) >= TURNS:
            said = (
                f"the mean of the losses between looks turned {len(swings)} times over the last "
                f"{len(blocks)} looks, by {min(swings):.3g} and more"
            )
            yield self._finding(said, min(swings) / size, self.min_spread)

    def _finding(self, message: str, measured: float, limit: float) -> Finding:
        return Finding(
            code=self.code,
            severity=Severity.WARNING,
            layer="",
            message=message,
            measured=measured,
            limit=limit,
            healthy="a correlation of about 0",
            remedies=_REMEDIES,
        )


def _pooled(blocks: Sequence[LossBlock]) -> float:
    """Return the correlation of neighbors over all blocks; NaN if none has one."""
    known = [block for block in blocks if math.isfinite(block.correlation)]
    total = sum(block.count for block in known)
    return sum(b.correlation * b.count for b in known) / total if total else math.nan


def _swings(blocks: Sequence[LossBlock], least: float) -> list[float]:
    """Return the sizes of the latest run of swings in turn, up and down, each beyond noise."""
    found: list[float] = []
    for before, after in pairwise(blocks):
        swing = after.mean - before.mean
        noise = SURE * math.hypot(before.error, after.error)
        if not abs(swing) > max(least, noise):
            found = []
        elif found and (swing > 0) == (found[-1] > 0):
            found = [swing]
        else:
            found.append(swing)
    return [abs(swing) for swing in found]
