"""TRN008: labels of which some are rare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dnnrepair.evidence.predictions import Predictions
from dnnrepair.evidence.training import Training
from dnnrepair.finding import Finding, Remedy, Severity, Skip, live_rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dnnrepair.observation import Observations

    Counts = NDArray[np.float64]
    Places = NDArray[np.intp]

PER_CLASS = 20  # labels per class that must have been seen on average
SHOWN = 8  # classes that are named
MANY = 1000  # classes: with more, as for words, rare ones are the rule


@live_rule("TRN008")
@dataclass(frozen=True, slots=True)
class ClassImbalance:
    """Training labels of which some are rare or missing.

    ## What it measures
    How often each class was among the labels trained on: the most frequent over the rarest. Classes
    that the network can answer but never saw count as once.

    ## Why it matters
    The loss hardly notices a rare class: the network does well without ever answering it.

    ## What to do
    Weigh the loss by class, or draw rare classes more often. Say what accuracy is per class.

    ## Limits
    A note, as long as the rare classes are answered: many good data sets are unbalanced. A warning
    where a rare class is missing, or is among the labels of the last look and hardly ever found.
    Needs 20 labels per class; silent beyond 1,000 classes, where rare words are the rule.

    ## Source
    Amazon SageMaker Debugger, rule ClassImbalance (10 to 1, class error above 0.7); Buda, Maki and
    Mazurowski 2018, arXiv:1710.05381, on oversampling.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "class-imbalance"
    needs: ClassVar[frozenset[type]] = frozenset({Training})
    wants: ClassVar[frozenset[type]] = frozenset({Predictions})
    max_imbalance: float = 10.0  # most frequent over rarest, at least 1
    min_recall: float = 0.3  # of rare classes at the last look, in [0, 1]

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield one finding about all rare classes."""
        training = seen.whole(Training)
        if training is None or not training.labels or not 1 < training.classes <= MANY:
            reason = "no class labels were seen; pass them on with m.loss(loss, targets)"
            yield Skip(code=self.code, reason=reason)
            return
        counts = np.zeros(max(training.classes, max(training.labels) + 1))
        for label, count in training.labels.items():
            counts[label] = count
        if counts.sum() < PER_CLASS * len(counts):
            reason = f"needs {PER_CLASS * len(counts)} labels, {int(counts.sum())} were seen"
            yield Skip(code=self.code, reason=reason)
            return
        ratio = float(counts.max() / max(counts.min(), 1.0))
        if ratio <= self.max_imbalance:
            return
        rare = np.flatnonzero(counts * self.max_imbalance < counts.max())
        shown = ", ".join(f"{label} ({int(counts[label]):,})" for label in rare[:SHOWN])
        yield Finding(
            code=self.code,
            severity=self._severity(seen, counts, rare),
            layer="",
            message=f"class {int(counts.argmax())} was trained on {counts.max():,.0f} times, class "
            f"{int(counts.argmin())} {counts.min():,.0f} times",
            measured=ratio,
            limit=self.max_imbalance,
            evidence=(f"rare classes (labels seen): {shown}", *_found(seen, rare)),
            remedies=(_weighed(counts), _DRAWN),
        )

    def _severity(self, seen: Observations, counts: Counts, rare: Places) -> Severity:
        recall = _recall(seen, rare)
        missed = recall is not None and recall < self.min_recall
        return Severity.WARNING if missed or not counts.min() else Severity.NOTE


_DRAWN = Remedy(
    advice="Or draw rare classes more often.",
    code="import torch\n\n"
    "weights = 1 / torch.bincount(labels)[labels].double()  # labels: of the training data\n"
    "sampler = torch.utils.data.WeightedRandomSampler(weights, len(labels))",
)


def _weighed(counts: Counts) -> Remedy:
    return Remedy(
        advice="Weigh the loss by class.",
        code="import torch\n\n"
        f"counts = torch.tensor({[int(max(count, 1)) for count in counts]})\n"
        "loss_function = torch.nn.CrossEntropyLoss(counts.sum() / (len(counts) * counts))",
    )


def _found(seen: Observations, rare: Places) -> tuple[str, ...]:
    recall = _recall(seen, rare)
    return () if recall is None else (f"of these, {recall:.0%} are found at the last look",)


def _recall(seen: Observations, rare: Places) -> float | None:
    """Return the share of rare labels found at the last look; None if there were too few."""
    predictions = seen.whole(Predictions)
    if predictions is None or len(predictions.labels) <= rare.max(initial=0):
        return None
    labels = float(predictions.labels[rare].sum())
    return float(predictions.hits[rare].sum()) / labels if labels >= PER_CLASS / 4 else None
