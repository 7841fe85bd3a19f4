"""What a network answers to some inputs, and which of its answers are right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dnnrepair.errors import DataError, ModelError
from dnnrepair.fitness import Arachne, Regression
from dnnrepair.fitness.outputs import recall_nothing
from dnnrepair.observation import Task
from dnnrepair.population.scores import Judge
from dnnrepair.population.tail import Recorded, Tail
from dnnrepair.population.values import Dense

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from dnnrepair.data import ArraySamples
    from dnnrepair.program import Program
    from dnnrepair.subject import Subject

BATCH = 512  # inputs at a time
MOST = 4  # times the input's size that may be kept of each input


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a network answers to n inputs.

    Attributes:
        labels: the classes, int64 ``(n,)``; None where an input has no single one.
        predicted: the classes answered, int64 ``(n,)``; None likewise.
        correct: which answers are right, bool ``(n,)``: no class is ahead of the label, every
            token is right, or every output is within the tolerance.
        undefined: which answers are NaN or infinite, bool ``(n,)``; none of these is right.
    """

    labels: Tensor | None
    predicted: Tensor | None
    correct: Tensor
    undefined: Tensor

    def __len__(self) -> int:
        """Return n."""
        return len(self.correct)

    def at(self, places: Tensor) -> Answers:
        """Return the answers at some places, int64 ``(m,)``."""
        return Answers(
            labels=None if self.labels is None else self.labels[places],
            predicted=None if self.predicted is None else self.predicted[places],
            correct=self.correct[places],
            undefined=self.undefined[places],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """The same inputs, put to a network again and again while some of its parameters change.

    Attributes:
        tail: what the parameters can change.
        judge: tells right from wrong.
        recorded: what the tail reads of each batch, and how many inputs it has.
        targets: labels or values of each batch.
        device: on which the network runs.
    """

    tail: Tail
    judge: Judge
    recorded: Sequence[tuple[Recorded, int]]
    targets: Sequence[Tensor]
    device: torch.device

    @classmethod
    def of(
        cls,
        subject: Subject,
        samples: ArraySamples,
        *,
        names: Collection[str] = (),
        tolerance: float = 1.0,
    ) -> Examination:
        """Prepare to ask.

        Args:
            subject: the network.
            samples: the inputs, with labels or values.
            names: of the parameters that will change; empty for any.
            tolerance: by which a predicted value may be off.

        Raises:
            DataError: there are no labels, or they do not fit.
            ModelError: only weights are known.
        """
        program = running(subject)
        ones = torch.ones(samples.size)
        by_class = subject.facts.task is not Task.REGRESS
        judge = Judge(Arachne(ones) if by_class else Regression(ones, tolerance), subject.facts)
        tail = _tail(program, samples, names, subject.device)
        size = program.batch_size or BATCH
        recorded, targets = [], []
        for batch in samples.batches(size):
            if batch.targets is None:
                message = f"{samples.name} has no labels; a repair compares answers with labels"
                raise DataError(message)
            inputs = filled(batch.inputs, program.batch_size, subject.device)
            recorded.append((tail.record(inputs), len(batch)))
            targets.append(batch.targets)
        return cls(
            tail=tail, judge=judge, recorded=recorded, targets=targets, device=subject.device
        )

    @torch.no_grad()
    def answers(self, tensors: Mapping[str, Tensor] | None = None) -> Answers:
        """Return what the network answers with these parameters in place of its own.

        Raises:
            DataError: if the labels do not fit what the network predicts.
        """
        parts = [
            self._part(recorded, count, targets, tensors or {})
            for (recorded, count), targets in zip(self.recorded, self.targets, strict=True)
        ]
        return Answers(
            labels=_joined([part.labels for part in parts]),
            predicted=_joined([part.predicted for part in parts]),
            correct=torch.cat([part.correct for part in parts]),
            undefined=torch.cat([part.undefined for part in parts]),
        )

    def _part(
        self, recorded: Recorded, count: int, targets: Tensor, tensors: Mapping[str, Tensor]
    ) -> Answers:
        prediction = self.tail.run(recorded, tensors)[:count]
        wanted = self.judge.check(tuple(prediction.shape), targets).to(self.device)
        outputs = self.judge.outputs(Dense(prediction.unsqueeze(0)), wanted, recall_nothing)
        right, _ = self.judge.judge(outputs, wanted, prediction.new_ones(1, count))
        undefined = ~prediction.isfinite().reshape(count, -1).all(1).cpu()
        single = self.judge.by_class and outputs.changed.shape[-1] == count
        return Answers(
            labels=targets.reshape(count).long() if single else None,
            predicted=outputs.full()[:, 0].argmax(0).cpu() if single else None,
            correct=right[0].cpu() & ~undefined,
            undefined=undefined,
        )


def running(subject: Subject) -> Program:
    """Return the program of a network.

    Raises:
        ModelError: if only its weights are known.
    """
    if subject.program is None:
        message = "only weights are known, not the network; name its factory with --arch"
        raise ModelError(message)
    return subject.program


def filled(inputs: Sequence[Tensor], size: int | None, device: torch.device) -> tuple[Tensor, ...]:
    """Return a batch on a device, filled up where the network runs with one batch size only."""
    moved = tuple(x.to(device) for x in inputs)
    if size is None:
        return moved
    return tuple(x[torch.arange(size, device=device) % len(x)] for x in moved)


def _tail(
    program: Program, samples: ArraySamples, names: Collection[str], device: torch.device
) -> Tail:
    """Cut off what need not run again, unless keeping its values would take too much memory."""
    if not names:
        return Tail(program, frozenset())
    tail = Tail.of(program, names)
    example = filled(samples.example().inputs, program.batch_size, device)
    held = sum(x.numel() for x in tail.record(example) if isinstance(x, Tensor))
    whole = held > MOST * sum(x.numel() for x in example)
    return Tail(program, tail.names) if whole else tail


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    known = [part for part in parts if part is not None]
    return torch.cat(known) if len(known) == len(parts) else None
