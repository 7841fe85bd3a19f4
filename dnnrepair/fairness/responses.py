"""What a network decides for a cohort, while some of its parameters change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dnnrepair.errors import DataError
from dnnrepair.fitness.arachne import Arachne
from dnnrepair.fitness.fairness import margin_of
from dnnrepair.fitness.outputs import recall_nothing
from dnnrepair.fixed_batch import filled
from dnnrepair.localize.head import Head
from dnnrepair.population.scores import Judge
from dnnrepair.population.tail import Recorded, Tail
from dnnrepair.population.values import Dense

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from dnnrepair.data import ArraySamples
    from dnnrepair.fairness.cohort import Cohort
    from dnnrepair.subject import Subject

BATCH = 4096  # inputs at a time


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Responses:
    """What a network decides for n inputs.

    Attributes:
        predicted: the class answered, int64 ``(n,)``.
        margins: by how much the positive class is ahead, as a logit, ``(n,)``.
    """

    predicted: NDArray[np.int64]
    margins: NDArray[np.float64]

    @property
    def scores(self) -> NDArray[np.float64]:
        """The probability of the positive class, ``(n,)``."""
        return 1 / (1 + np.exp(-np.clip(self.margins, -700, 700)))

    def shifted(self, by: float, positive: int) -> Responses:
        """Return what a network of two classes decides with its margins shifted.

        Args:
            by: added to all margins.
            positive: number of the positive class, 0 or 1.
        """
        margins = self.margins + by
        return Responses(predicted=np.where(margins > 0, positive, 1 - positive), margins=margins)


@dataclass(frozen=True, slots=True)
class Reading:
    """Reads logits of classes, classes first, from predictions of any form.

    Attributes:
        judge: knows the forms.
        logs: the network ends in a softmax, of which the logarithm is taken.
    """

    judge: Judge
    logs: bool

    @classmethod
    def of(cls, subject: Subject) -> Reading:
        """Return what reads the predictions of a network."""
        head = Head.of(subject.running.sites, subject.facts)
        program = subject.running
        last = program.sites[head.squashing].op if head.squashing else ""
        return cls(Judge(Arachne(torch.ones(1)), subject.facts), last == "softmax")

    def logits(self, prediction: Tensor, classes: Tensor) -> Tensor:
        """Return ``(C, n)``, at least two, of a prediction for n inputs of these classes ``(n,)``.

        Raises:
            DataError: the classes do not fit the prediction.
        """
        wanted = self.judge.check(tuple(prediction.shape), classes).to(prediction.device)
        outputs = self.judge.outputs(Dense(prediction.unsqueeze(0)), wanted, recall_nothing)
        full = outputs.full()[:, 0]
        return full.clamp(min=1e-30).log() if self.logs else full


@dataclass(frozen=True, kw_only=True)
class Asking:
    """The same inputs, put to a network again and again.

    Attributes:
        tail: what the parameters can change.
        reading: of predictions.
        recorded: what the tail reads of each batch.
        classes: labels of each batch.
        positive: number of the positive class.
        name: of the data.
    """

    tail: Tail
    reading: Reading
    recorded: tuple[Recorded, ...]
    classes: tuple[Tensor, ...]
    positive: int
    name: str

    @classmethod
    def of(
        cls,
        subject: Subject,
        cohort: Cohort,
        names: Collection[str] = (),
        samples: ArraySamples | None = None,
    ) -> Asking:
        """Prepare to ask.

        Args:
            subject: the network.
            cohort: whose inputs.
            names: of the parameters that will change; empty for any.
            samples: other inputs in their place, such as twins.
        """
        program = subject.running
        tail = Tail.of(program, names) if names else Tail(program, frozenset())
        recorded, classes = [], []
        whole = torch.from_numpy(cohort.classes)
        for batch in (samples or cohort.samples).batches(program.batch_size or BATCH):
            recorded.append(tail.record(filled(batch.inputs, program.batch_size, subject.device)))
            classes.append(whole[batch.start : batch.start + len(batch)])
        return cls(
            tail=tail,
            reading=Reading.of(subject),
            recorded=tuple(recorded),
            classes=tuple(classes),
            positive=cohort.positive,
            name=cohort.samples.name,
        )

    @torch.no_grad()
    def responses(self, tensors: Mapping[str, Tensor] | None = None) -> Responses:
        """Return what the network decides with these parameters in place of its own.

        Raises:
            DataError: an answer is NaN or infinite.
        """
        predicted: list[NDArray[Any]] = []
        margins: list[NDArray[Any]] = []
        for recorded, classes in zip(self.recorded, self.classes, strict=True):
            prediction = self.tail.run(recorded, tensors or {})[: len(classes)]
            logits = self.reading.logits(prediction, classes)
            predicted.append(logits.argmax(0).cpu().numpy())
            margins.append(margin_of(logits, self.positive).double().cpu().numpy())
        found = Responses(predicted=np.concatenate(predicted), margins=np.concatenate(margins))
        bad = ~np.isfinite(found.margins)
        if bad.any():
            message = (
                f"{self.name}: {int(bad.sum())} answers are NaN or infinite, the first for row "
                f"{int(bad.argmax())}; `dnnrepair diagnose` tells where that comes from"
            )
            raise DataError(message)
        return found
