"""What a network answers to some inputs, and which of its answers are right."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dnnrepair.errors import DataError
from dnnrepair.fitness import Arachne, Regression
from dnnrepair.fitness.outputs import recall_nothing
from dnnrepair.fixed_batch import at_a_time, filled
from dnnrepair.loss import IGNORED_LABEL
from dnnrepair.observation import Task
from dnnrepair.population.scores import Judge
from dnnrepair.population.tail import Recorded, Tail, affordable
from dnnrepair.population.values import Dense

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from dnnrepair.data import ArraySamples
    from dnnrepair.fitness import Outputs
    from dnnrepair.observation import Facts
    from dnnrepair.program import Program
    from dnnrepair.subject import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a network answers to n inputs.

    Attributes:
        labels: the classes, int64 ``(n,)``; None where an input has no single one.
        predicted: the classes answered, int64 ``(n,)``, -1 where undefined; None likewise.
        correct: which answers are right, bool ``(n,)``: no class is ahead of the label, every
            token is right, or every output is within the tolerance.
        undefined: which answers are NaN or infinite, bool ``(n,)``; none of these is right. A
            class may have minus infinity, if another has not.
        classes: how many there are, 0 where the network predicts values.
    """

    labels: Tensor | None
    predicted: Tensor | None
    correct: Tensor
    undefined: Tensor
    classes: int = 0

    @property
    def shortage(self) -> str:
        """Why inputs have no single class, "" if they have."""
        if self.labels is not None:
            return ""
        return "an input has several labels" if self.classes else "the network predicts values"

    def __len__(self) -> int:
        return len(self.correct)

    def at(self, places: Tensor) -> Answers:
        """Return the answers at some places, int64 ``(m,)``, or where a mask, ``(n,)``, is true."""
        return replace(
            self,
            labels=None if self.labels is None else self.labels[places],
            predicted=None if self.predicted is None else self.predicted[places],
            correct=self.correct[places],
            undefined=self.undefined[places],
        )

    @classmethod
    def joined(cls, parts: Sequence[Answers]) -> Answers:
        """Return the answers to all inputs from those to some each, at least one."""
        return cls(
            labels=_joined([part.labels for part in parts]),
            predicted=_joined([part.predicted for part in parts]),
            correct=torch.cat([part.correct for part in parts]),
            undefined=torch.cat([part.undefined for part in parts]),
            classes=parts[0].classes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """The same inputs, put to a network again and again while some of its parameters change.

    Attributes:
        tail: what the parameters can change.
        judge: tells right from wrong.
        recorded: what the tail reads of each batch.
        targets: labels or values of each batch.
    """

    tail: Tail
    judge: Judge
    recorded: Sequence[Recorded]
    targets: Sequence[Tensor]

    @classmethod
    def of(
        cls,
        subject: Subject,
        samples: ArraySamples,
        *,
        names: Collection[str] = (),
        tolerance: float = 1.0,
        batch_size: int | None = None,
    ) -> Examination:
        """Prepare to ask.

        Args:
            subject: the network.
            samples: the inputs, with labels or values.
            names: of the parameters that will change; empty for any.
            tolerance: by which a predicted value may be off, above 0.
            batch_size: inputs at a time, unless the network takes one number only; None for what
                is fastest.

        Raises:
            DataError: there are no labels, or answers are neither right nor wrong.
            ModelError: only weights are known, or the prediction depends on none of ``names``.
            SettingError: the tolerance is not above 0.
        """
        program = subject.running
        size = program.batch_size or batch_size or at_a_time(program)
        tail = _tail(program, samples, names, subject.device)
        recorded, targets = [], []
        for batch in samples.batches(size):
            if batch.targets is None:
                message = f"{samples.name} has no labels; a repair compares answers with labels"
                raise DataError(message)
            inputs = filled(batch.inputs, program.batch_size, subject.device)
            recorded.append(tail.record(inputs))
            targets.append(batch.targets)
        judge = _judge(subject.facts, samples.size, tolerance)
        return cls(tail=tail, judge=judge, recorded=recorded, targets=targets)

    @torch.no_grad()
    def answers(self, tensors: Mapping[str, Tensor] | None = None) -> Answers:
        """Return what the network answers with these parameters in place of its own.

        Raises:
            DataError: if the labels do not fit what the network predicts.
        """
        changed = tensors or {}
        assert not self.tail.steps or changed.keys() <= self.tail.names  # noqa: S101 - announced
        parts = [
            self._judged(self.tail.run(recorded, changed)[: len(targets)], targets)
            for recorded, targets in zip(self.recorded, self.targets, strict=True)
        ]
        return Answers.joined(parts)

    def _judged(self, prediction: Tensor, targets: Tensor) -> Answers:
        """Return the answers of one batch."""
        count = len(targets)
        wanted = self.judge.check(tuple(prediction.shape), targets).to(prediction.device)
        outputs = self.judge.outputs(Dense(prediction.unsqueeze(0)), wanted, recall_nothing)
        right, _ = self.judge.judge(outputs, wanted, prediction.new_ones(1, count))
        undefined = _undefined(prediction, outputs, by_class=self.judge.by_class).cpu()
        correct = right[0].cpu() & ~undefined
        found = Answers(labels=None, predicted=None, correct=correct, undefined=undefined)
        if not self.judge.by_class:
            return found
        found = replace(found, classes=len(outputs.full()))
        if wanted.numel() != count:
            return found
        labels = _single(targets.reshape(count).long())
        ahead = outputs.full()[:, 0].argmax(0).cpu()
        predicted = torch.where(correct, labels, ahead).masked_fill(undefined, -1)
        return replace(found, labels=labels, predicted=predicted)


def _tail(
    program: Program, samples: ArraySamples, names: Collection[str], device: torch.device
) -> Tail:
    """Cut off what need not run again, unless keeping its values would take too much memory."""
    if not names:
        return Tail(program, frozenset())
    tail = Tail.of(program, names)
    example = filled(samples.example().inputs, program.batch_size, device)
    return tail if affordable(tail.record(example), example) else Tail(program, tail.names)


def _judge(facts: Facts, count: int, tolerance: float) -> Judge:
    """Return what tells right from wrong; its sums are not used."""
    ones = torch.ones(count)
    if facts.task is Task.GENERATE:
        message = "what a generator makes is neither right nor wrong; try --task classify"
        raise DataError(message)
    by_class = facts.task is Task.CLASSIFY
    return Judge(Arachne(ones) if by_class else Regression(ones, tolerance), facts)


def _single(labels: Tensor) -> Tensor:
    """Return labels of whole inputs, all of which must be given."""
    missing = int((labels == IGNORED_LABEL).sum())
    if missing:
        message = f"{missing} inputs have the label {IGNORED_LABEL}, which is none; leave them out"
        raise DataError(message)
    return labels


def _undefined(prediction: Tensor, outputs: Outputs, *, by_class: bool) -> Tensor:
    """Return which answers are NaN or infinite, bool ``(n,)``."""
    count = len(prediction)
    if not by_class:
        return ~prediction.isfinite().reshape(count, -1).all(1)
    none_ahead = outputs.largest()[0].reshape(count, -1).isneginf().any(1)
    bad = prediction.isnan() | prediction.isposinf()
    return bad.reshape(count, -1).any(1) | none_ahead


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    known = [part for part in parts if part is not None]
    return torch.cat(known) if len(known) == len(parts) else None
