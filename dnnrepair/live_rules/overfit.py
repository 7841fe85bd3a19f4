"""TRN007: a validation that gets worse while the training loss falls."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.evidence.training import Training
from dnnrepair.finding import Finding, Remedy, Severity, Skip, live_rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dnnrepair.evidence.training import Validation
    from dnnrepair.observation import Observations

SURE = 3  # standard deviations: a fall of accuracy is no noise
FALLS = 0.05  # of the training loss: it is still learned

_REMEDIES = (
    Remedy(advice="Stop early: go back to the checkpoint of the best validation."),
    Remedy(
        advice="Hold the weights back: more weight decay, dropout, augmented data or label "
        "smoothing.",
        code="for group in optimizer.param_groups:\n"
        "    group['weight_decay'] = 10 * group['weight_decay'] or 1e-2",
    ),
    Remedy(advice="Train on more data, or make the network smaller."),
)


@live_rule("TRN007")
@dataclass(frozen=True, slots=True)
class Overfit:
    """Validation loss that rises, or accuracy that falls, while the training loss falls.

    ## What it measures
    The latest validations against the best one. The network overfits if the training loss is 5 %
    lower than at the best validation loss, and either each of the last three losses is at least
    10 % above the best, or accuracy has fallen by 5 points, and by three standard deviations of its
    noise. Accuracies are medians of three validations in a row; the noise is that of neighbors.

    ## Why it matters
    What is learned from now on holds for the training data only.

    ## What to do
    Go back to the best checkpoint; use weight decay, dropout or augmentation; get more data.

    ## Limits
    Knows only what it is told with ``m.validation(loss, accuracy)``. A note only, where accuracy is
    given and is still within a point of its best: then confidence grows, and answers stay as good.
    Where some training labels are wrong, accuracy may fall long before the loss rises.

    ## Source
    Prechelt 1998, "Early stopping - but when?", generalization loss; Amazon SageMaker Debugger,
    rule Overfit; von Neumann 1941 for noise that a trend does not widen.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "overfit"
    needs: ClassVar[frozenset[type]] = frozenset({Training})
    wants: ClassVar[frozenset[type]] = frozenset()
    patience: int = 3  # validations in a row, at least 1
    max_rise: float = 0.1  # of the best validation loss
    max_lost: float = 0.01  # of accuracy, for a note, in [0, 1]
    max_fallen: float = 0.05  # of accuracy, whatever the loss, in [0, 1]

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield one finding about the run."""
        training = seen.whole(Training)
        made = list(training.validations) if training else []
        if training is None or len(made) <= self.patience:
            reason = (
                f"needs {self.patience + 1} validations, there were {len(made)}; pass them on with "
                "m.validation(loss, accuracy)"
            )
            yield Skip(code=self.code, reason=reason)
            return
        best = min(made, key=lambda validation: validation.loss)
        latest = made[-self.patience :]
        broken = not all(math.isfinite(v.loss) for v in latest)  # TRN001 speaks of that
        if best in latest or broken or not _still_learning(training, best):
            return
        rise = min(v.loss for v in latest) / best.loss - 1 if best.loss > 0 else 0.0
        level = _level_of(made, self.patience)
        if rise >= self.max_rise:
            is_note = level is not None and level.lost <= self.max_lost
            yield Finding(
                code=self.code,
                severity=Severity.NOTE if is_note else Severity.WARNING,
                layer="",
                message=f"the validation loss was {best.loss:.4g} after {best.step:,} steps and is "
                f"{made[-1].loss:.4g} now, while the training loss falls",
                measured=rise,
                limit=self.max_rise,
                unit="share",
                evidence=_accuracies(best, made[-1]),
                remedies=_REMEDIES,
            )
        elif level is not None and level.lost >= max(self.max_fallen, SURE * level.noise):
            yield Finding(
                code=self.code,
                severity=Severity.WARNING,
                layer="",
                message=f"validation accuracy was {level.best:.1%} and is {level.now:.1%} over the "
                f"last {self.patience} validations, while the training loss falls",
                measured=level.lost,
                limit=self.max_fallen,
                unit="share",
                evidence=(f"the lowest loss was {best.loss:.4g}, the last is {made[-1].loss:.4g}",),
                remedies=_REMEDIES,
            )


@dataclass(frozen=True, slots=True)
class _Level:
    """Validation accuracy without its noise: medians of some validations in a row.

    Attributes:
        best, now: the highest and the latest.
        noise: standard deviation of a single accuracy since the highest.
    """

    best: float
    now: float
    noise: float

    @property
    def lost(self) -> float:
        return self.best - self.now


def _level_of(made: Sequence[Validation], patience: int) -> _Level | None:
    """Return the level of accuracy; None where it is unknown."""
    if made[-1].accuracy is None:
        return None
    known = [v.accuracy for v in made if v.accuracy is not None]
    size = min(patience, len(known))
    levels = [median(known[end - size : end]) for end in range(size, len(known) + 1)]
    best = max(levels)
    since = known[levels.index(best) :]
    squares = [(after - before) ** 2 for before, after in pairwise(since)]
    return _Level(best, levels[-1], math.sqrt(fmean(squares) / 2) if squares else 0.0)


def _still_learning(training: Training, best: Validation) -> bool:
    """Tell whether the training loss has come down since the best validation; unknown counts."""
    finite = [block for block in training.blocks if block.count]
    earlier = [block for block in finite if block.step <= best.step]
    if training.blocks and not training.blocks[-1].count:
        return False
    if not earlier:
        return True
    then, now = earlier[-1], finite[-1]
    return now.mean < then.mean - FALLS * abs(then.mean)


def _accuracies(best: Validation, now: Validation) -> tuple[str, ...]:
    if best.accuracy is None or now.accuracy is None:
        return ()
    return (f"validation accuracy was {best.accuracy:.1%} then and is {now.accuracy:.1%} now",)
