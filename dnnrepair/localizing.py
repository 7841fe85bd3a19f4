"""From a network and its data to the weights that are suspected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dnnrepair.data import ArraySamples
from dnnrepair.errors import DataError, ModelError, SettingError
from dnnrepair.fitness import Arachne
from dnnrepair.fitness.outputs import recall_nothing
from dnnrepair.localize import contrast, localize
from dnnrepair.localize.found import described
from dnnrepair.methods.method import Part
from dnnrepair.observation import Task
from dnnrepair.population.scores import Judge
from dnnrepair.population.values import Dense
from dnnrepair.subject import open_subject

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.data import Samples
    from dnnrepair.localize import LocalizerSettings
    from dnnrepair.progress import Progress
    from dnnrepair.request import Request
    from dnnrepair.subject import Subject
    from dnnrepair.suspicion import Localization


def localized(
    request: Request,
    settings: LocalizerSettings,
    progress: Progress,
    *,
    fix: str = "all",
    all_positives: bool = False,
) -> Localization:
    """Load a network and its data, and find the weights most responsible for its errors.

    Args:
        request: the network and its data.
        settings: how to look.
        progress: is told what is being done.
        fix: which errors.
        all_positives: set them against all inputs that are right, not against as many.

    Raises:
        DnnRepairError: one of its kinds, with what, where and what to do next.
    """
    progress.stage("loading", None)
    subject = open_subject(request)
    progress.stage("localizing", None)
    part = part_of(subject, fix, request.batch_size)
    negatives, positives = contrast(part, settings.seed, all_positives=all_positives)
    suspects = localize(subject, negatives, positives, settings)
    progress.finish()
    return described(subject, suspects, negatives, positives)


def part_of(subject: Subject, fix: str, batch_size: int) -> Part:
    """Return all data, and which of the errors are to be fixed: the seam to ``--fix``.

    Only ``all`` is known here.

    Raises:
        SettingError: for any other choice.
        DataError: if the data have no labels, or there is nothing wrong, or nothing right.
    """
    if fix != "all":
        message = f"--fix {fix} is not known; known: all"
        raise SettingError(message)
    samples = _in_memory(subject.samples, batch_size)
    correct = _correct(subject, samples, batch_size)
    for kind, mask in (("wrong", ~correct), ("right", correct)):
        if not bool(mask.any()):
            message = f"the network gets none of {samples.name} {kind}; there is nothing to compare"
            raise DataError(message)
    ones = torch.ones(len(correct))
    return Part(samples=samples, correct=correct, targets=~correct, protected=correct, cost=ones)


def _in_memory(samples: Samples | None, batch_size: int) -> ArraySamples:
    if samples is None or not samples.labeled:
        message = "suspects are found by what the network gets wrong; give labeled data with --data"
        raise DataError(message)
    if isinstance(samples, ArraySamples):
        return samples
    batches = list(samples.batches(batch_size))
    inputs = tuple(torch.cat(parts) for parts in zip(*(b.inputs for b in batches), strict=True))
    targets = torch.cat([batch.targets for batch in batches if batch.targets is not None])
    return ArraySamples(inputs, targets, samples.name, notes=samples.notes)


@torch.no_grad()
def _correct(subject: Subject, samples: ArraySamples, batch_size: int) -> Tensor:
    """Return which inputs are classified right, ``(n,)`` bool."""
    if subject.facts.task is not Task.CLASSIFY:
        message = "only classification errors can be chosen here; give labels, or --task classify"
        raise SettingError(message)
    program = subject.program
    if program is None:
        message = "only weights are known, not the network; name its factory with --arch"
        raise ModelError(message)
    judge = Judge(Arachne(torch.ones(samples.size)), subject.facts)
    size, found = program.batch_size, []
    for batch in samples.batches(size or batch_size):
        inputs = [x.to(subject.device) for x in batch.inputs]
        if size is not None:  # a batch of fixed size is filled up
            inputs = [x[torch.arange(size) % len(x)] for x in inputs]
        prediction = program.run(inputs)[: len(batch)]
        targets = judge.check(tuple(prediction.shape), batch.targets).to(subject.device)
        outputs = judge.outputs(Dense(prediction.unsqueeze(0)), targets, recall_nothing)
        right, _ = judge.judge(outputs, targets, prediction.new_ones(1, len(batch)))
        found.append(right[0].cpu())
    return torch.cat(found)
