"""The whole run: split the data, carry out the steps, and measure all of them on the other half."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from dnnrepair import __version__
from dnnrepair.data import ArraySamples
from dnnrepair.data.spread import spread
from dnnrepair.diagnose import diagnose
from dnnrepair.layers import everything
from dnnrepair.progress import silent
from dnnrepair.report import ModelCard
from dnnrepair.selection import choose_rules
from dnnrepair.swap_report import SwapReport
from dnnrepair.swapping.measuring import difference
from dnnrepair.swapping.operation import Swapped
from dnnrepair.swapping.ranges import out_of_range
from dnnrepair.swapping.where import Where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnnrepair.data import Samples
    from dnnrepair.progress import Progress
    from dnnrepair.subject import Subject
    from dnnrepair.swap_report import OutOfRange
    from dnnrepair.swapping.plan import Step

FEWEST = 8  # inputs that are worth two halves
_BATCH = 1024


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a run.

    Attributes:
        swapped: the network as it is now, and all that was done.
        before: the network as it was.
        report: all there is to say, but for what was written.
    """

    swapped: Swapped
    before: Subject
    report: SwapReport


def swap(
    subject: Subject, steps: Sequence[Step], *, seed: int = 0, progress: Progress = silent
) -> Outcome:
    """Carry out steps on a copy of a network.

    Half of the data are what operations may look at, the other half measures. A rule that tells
    where to change something looks at all of them.

    Args:
        subject: the network, with its data if there are any.
        steps: in order.
        seed: of the split and of whatever is drawn.
        progress: is told how far the work has come.

    Raises:
        DnnRepairError: a step cannot be carried out, and why; nothing is changed then.
    """
    generator = torch.Generator().manual_seed(seed)
    shown, judging, notes = _halves(subject, seed)
    done = Swapped(subject=replace(subject, samples=shown))
    judge = replace(subject, samples=judging)
    ranges: tuple[OutOfRange, ...] = ()
    progress.stage("changing the network", len(steps))
    for step in steps:
        where = _where(replace(done.subject, samples=subject.samples), step, seed)
        found = step.operation.apply(done.subject, where, generator)
        done = Swapped(
            subject=found.subject,
            swaps=(*done.swaps, *found.swaps),
            skipped=(*done.skipped, *(f"{step.asked}: {reason}" for reason in found.skipped)),
            structural=done.structural or found.structural,
            reads=found.reads or done.reads,
        )
        ranges += out_of_range(judge, found.subject, found.ranged, done.reads)
        progress.advance(1)
    report = SwapReport(
        tool_version=__version__,
        model=_card(subject),
        swaps=done.swaps,
        overall=difference(judge, done.subject, done.reads),
        ranges=ranges,
        skipped=done.skipped,
        structural=done.structural,
        notes=(*subject.notes, *notes),
        seed=seed,
    )
    return Outcome(swapped=done, before=subject, report=report)


def _halves(subject: Subject, seed: int) -> tuple[Samples | None, Samples | None, tuple[str, ...]]:
    """Return the data that operations see, those that judge, and what to know about them."""
    samples = subject.samples
    if samples is None:
        return None, None, ("there are no data: what changed was measured on made-up inputs",)
    held = samples if isinstance(samples, ArraySamples) else _in_memory(samples)
    if held.size < FEWEST:
        note = f"{held.size} inputs are too few for two halves: what chose also judges"
        return held, held, (note,)
    targets = held.targets
    strata = torch.zeros(held.size, dtype=torch.int64)
    if targets is not None and not targets.is_floating_point():
        strata = targets.reshape(held.size, -1)[:, 0].long()
    first, second = spread(strata, (0.5, 0.5), seed)
    shown = held.subset(first.numpy(), f"{held.name}, first half")
    return shown, held.subset(second.numpy(), f"{held.name}, held-out half"), ()


def _in_memory(samples: Samples) -> ArraySamples:
    batches = list(samples.batches(_BATCH))
    inputs = tuple(torch.cat(same) for same in zip(*(b.inputs for b in batches), strict=True))
    known = [batch.targets for batch in batches if batch.targets is not None]
    targets = torch.cat(known) if len(known) == len(batches) else None
    return ArraySamples(inputs, targets, samples.name, notes=samples.notes)


def _where(subject: Subject, step: Step, seed: int) -> Where:
    if not step.by_rule:
        return Where(layers=(step.place,))
    rules = choose_rules([step.place], [], {})
    found = diagnose(subject, rules, seed=seed)

    return Where.of(everything(found.findings), rules[0].code)


def _card(subject: Subject) -> ModelCard:
    facts = subject.facts
    samples = subject.samples
    parameters = [info.name for info in subject.infos.values() if not info.buffer]
    return ModelCard(
        name=facts.model,
        form=subject.form,
        digest=subject.digest,
        mode=facts.mode,
        parameters=sum(subject.tensors[name].numel() for name in parameters),
        data=facts.data or (samples.name if samples is not None else ""),
        samples=(samples.size or 0) if samples is not None else 0,
        task=facts.task,
        loss=facts.loss,
    )
