"""TRN007: a validation loss that rises while the training loss falls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.evidence.training import Training
from dnnrepair.finding import Finding, Remedy, Severity, Skip, live_rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.evidence.training import Validation
    from dnnrepair.observation import Observations

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
    """Validation loss that rises while the training loss falls.

    ## What it measures
    The latest validation losses against the best one. The network overfits if each of the last
    three is at least 10 % above the best, while the training loss is lower than it was then.

    ## Why it matters
    What is learned from now on holds for the training data only.

    ## What to do
    Go back to the best checkpoint; use weight decay, dropout or augmentation; get more data.

    ## Limits
    Knows only what it is told with ``m.validation(loss, accuracy)``. A note only, where accuracy is
    given and is still within a point of its best: then confidence grows, and answers stay as good.

    ## Source
    Prechelt 1998, "Early stopping - but when?", generalization loss; Amazon SageMaker Debugger,
    rule Overfit.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "overfit"
    needs: ClassVar[frozenset[type]] = frozenset({Training})
    wants: ClassVar[frozenset[type]] = frozenset()
    patience: int = 3  # validations in a row, at least 1
    max_rise: float = 0.1  # of the best validation loss
    max_lost: float = 0.01  # of accuracy, for a note, in [0, 1]

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield one finding about the run."""
        training = seen.whole(Training)
        made = training.validations if training else ()
        if training is None or len(made) <= self.patience:
            reason = (
                f"needs {self.patience + 1} validations, there were {len(made)}; pass them on with "
                "m.validation(loss, accuracy)"
            )
            yield Skip(code=self.code, reason=reason)
            return
        best = min(made, key=lambda validation: validation.loss)
        latest = made[-self.patience :]
        rise = min(v.loss for v in latest) / best.loss - 1 if best.loss > 0 else 0.0
        if best in latest or not rise >= self.max_rise or not _still_learning(training, best):
            return
        yield Finding(
            code=self.code,
            severity=Severity.NOTE if self._is_as_right(made) else Severity.WARNING,
            layer="",
            message=f"the validation loss was {best.loss:.4g} after {best.step:,} steps and is "
            f"{made[-1].loss:.4g} now, while the training loss falls",
            measured=rise,
            limit=self.max_rise,
            unit="share",
            evidence=_accuracies(best, made[-1]),
            remedies=_REMEDIES,
        )

    def _is_as_right(self, made: tuple[Validation, ...]) -> bool:
        known = [v.accuracy for v in made if v.accuracy is not None]
        now = made[-1].accuracy
        return now is not None and now >= max(known) - self.max_lost


def _still_learning(training: Training, best: Validation) -> bool:
    """Tell whether the training loss is lower than at the best validation; unknown counts."""
    finite = [block for block in training.blocks if block.count]
    then = [block for block in finite if block.step <= best.step]
    return not then or finite[-1].mean < then[-1].mean


def _accuracies(best: Validation, now: Validation) -> tuple[str, ...]:
    if best.accuracy is None or now.accuracy is None:
        return ()
    return (f"validation accuracy was {best.accuracy:.1%} then and is {now.accuracy:.1%} now",)
