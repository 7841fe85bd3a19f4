"""How good a network is, and whether a treated copy is better."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.answers import Answers, Examination
from dnnrepair.fixed_batch import filled
from dnnrepair.loss import losses
from dnnrepair.methods.method import Part
from dnnrepair.observation import Task
from dnnrepair.rate import Rate
from dnnrepair.repair_report import Score
from dnnrepair.verify import paired_gain, verify

if TYPE_CHECKING:
    from dnnrepair.data import ArraySamples
    from dnnrepair.subject import Subject
    from dnnrepair.verdict import Verdict

_BATCH = 256


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A network's answers to one part of the data, with their mean loss."""

    score: Score
    answers: Answers


def judged(subject: Subject, samples: ArraySamples) -> Judged:
    """Return what a network answers to labeled samples."""
    answers = Examination.of(subject, samples).answers()
    by_class = subject.facts.task is Task.CLASSIFY
    right = Rate(int(answers.correct.sum()), len(answers)) if by_class else None
    return Judged(score=Score(loss=_loss(subject, samples), right=right), answers=answers)


@torch.no_grad()
def _loss(subject: Subject, samples: ArraySamples) -> float:
    """Return the mean loss; infinite where it is no number."""
    program, total, count = subject.running, 0.0, 0
    for batch in samples.batches(program.batch_size or _BATCH):
        assert batch.targets is not None  # of labeled samples  # noqa: S101
        inputs = filled(batch.inputs, program.batch_size, subject.device)
        prediction = program.run(inputs)[: len(batch)]
        found = losses(subject.facts.loss, prediction, batch.targets.to(subject.device))
        total, count = total + float(found.double().sum()), count + len(found)
    value = total / max(count, 1)
    return value if math.isfinite(value) else math.inf


def better(before: Judged, after: Judged) -> tuple[bool, str]:
    """Return whether a copy improves on the network, and in words why.

    It does if its mean loss is lower and it does not certainly lose accuracy: the paired 95 %
    interval of the change must reach 0.
    """
    old, new = before.score.loss, after.score.loss
    if not math.isfinite(new):
        return False, "its loss is not finite"
    if new >= old:
        return False, f"its loss does not fall: {old:.4g} to {new:.4g}"
    if before.score.right is not None:
        was, now = before.answers.correct, after.answers.correct
        fixed, broken = int((~was & now).sum()), int((was & ~now).sum())
        gain = paired_gain(fixed, broken, int((was & now).sum()), len(was))
        if gain.high < 0:
            return False, f"it loses accuracy: {100 * gain.value:+.1f} points"
    return True, f"its loss falls from {old:.4g} to {new:.4g}"


def verdict(before: Judged, after: Judged, samples: ArraySamples, name: str) -> Verdict | None:
    """Return what changed on one part of the data, input by input; None where there are no classes.

    All that was wrong counts as meant to be fixed.
    """
    if before.score.right is None:
        return None
    was = before.answers.correct
    part = Part(
        samples=samples,
        correct=was,
        targets=~was,
        protected=was,
        cost=torch.ones(len(was)),
    )
    return verify(before.answers, after.answers, part, name)
