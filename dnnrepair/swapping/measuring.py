"""How far two networks are apart."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dnnrepair.fixed_batch import filled
from dnnrepair.loss import IGNORED_LABEL, by_class, losses
from dnnrepair.observation import Task
from dnnrepair.probe import Batch
from dnnrepair.program import GraphProgram
from dnnrepair.rate import Rate
from dnnrepair.swap_report import Difference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dnnrepair.subject import Subject

LIMIT = 2048  # inputs that are looked at
_BATCH = 128
_SYNTHETIC = 64
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
_COARSE = 1e-2  # of float16 and bfloat16


def example_of(subject: Subject) -> tuple[Tensor, ...]:
    """Return a few inputs for the network, of its data or made up; none if its shape is unknown."""
    if subject.samples is not None:
        inputs = subject.samples.example(4).inputs
        inputs = tuple(x if len(x) > 1 else torch.cat([x, x]) for x in inputs)
    else:
        inputs = _synthetic(subject, 4)
    return tuple(x.to(subject.device) for x in inputs)


def batches_of(subject: Subject, limit: int = LIMIT) -> Iterator[Batch]:
    """Yield inputs on the network's device, of its data or, without data, made up."""
    program = subject.running
    size = program.batch_size or _BATCH
    if subject.samples is not None:
        found = islice(subject.samples.batches(size), max(1, limit // size))
    else:
        inputs = _synthetic(subject, _SYNTHETIC)
        found = islice(iter([Batch(inputs=inputs)]), 1 if inputs else 0)
    for batch in found:
        inputs = filled(batch.inputs, program.batch_size, subject.device)
        yield Batch(inputs=inputs, targets=batch.targets, mask=batch.mask, start=batch.start)


def tolerance_of(subject: Subject) -> float:
    """Return by how much, relative to the largest output, an exact change may be off."""
    kinds = [t.dtype for t in subject.tensors.values() if t.is_floating_point()]
    worst = [TOLERANCE.get(kind, _COARSE) for kind in kinds]
    return max(worst, default=TOLERANCE[torch.float32])


@torch.no_grad()
def difference(
    before: Subject, after: Subject, reads: Callable[[Tensor], Tensor] | None = None
) -> Difference | None:
    """Return how the outputs of two networks for the same inputs differ.

    Args:
        before: the one, whose data are used; at most ``LIMIT`` inputs of them.
        after: the other.
        reads: turns a batch of the first input into what the other takes; None if it is the same.

    Returns:
        None if there are no data, and none can be made up.
    """
    old, new, targets = [], [], []
    with torch.random.fork_rng(devices=[]):
        for batch in batches_of(before):
            count = len(batch.targets) if batch.targets is not None else len(batch.inputs[0])
            old.append(before.running.run(batch.inputs)[:count].cpu())
            given = batch.inputs
            if reads is not None:
                given = (reads(given[0]), *given[1:])
            new.append(after.running.run(given)[:count].cpu())
            targets.append(batch.targets)
    if not old:
        return None
    one, two = torch.cat(old), torch.cat(new)
    known = [target for target in targets if target is not None]
    labels = torch.cat(known) if known and len(known) == len(targets) else None
    samples = before.samples
    return Difference(
        inputs=samples.name if samples is not None else "made-up Gaussian inputs",
        samples=len(one),
        relative=_relative(one, two),
        typical=_typical(one, two),
        agreement=_agreement(before, one, two),
        before=_right(before, one, labels),
        after=_right(after, two, labels),
        loss_before=_loss(before, one, labels),
        loss_after=_loss(after, two, labels),
    )


def _synthetic(subject: Subject, count: int) -> tuple[Tensor, ...]:
    program = subject.program
    if not isinstance(program, GraphProgram):
        return ()
    rng = torch.Generator().manual_seed(0)
    found = []
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name not in program.tensor_of_node:
            value = node.meta.get("val")
            if not isinstance(value, Tensor) or not value.is_floating_point():
                return ()
            shape = program.sites[node.name].shape[1:]
            found.append(torch.randn(count, *shape, generator=rng).to(value.dtype))
    return filled(found, program.batch_size)


def _relative(one: Tensor, two: Tensor) -> float:
    if one.shape != two.shape or not bool(two.isfinite().all()):
        return float("inf")
    largest = float(one.abs().max()) or 1.0
    return float((two.double() - one.double()).abs().max()) / largest


def _typical(one: Tensor, two: Tensor) -> float:
    if one.shape != two.shape or not bool(two.isfinite().all()):
        return float("inf")
    largest = float(one.abs().max()) or 1.0
    return float((two.double() - one.double()).square().mean().sqrt()) / largest


def _agreement(subject: Subject, one: Tensor, two: Tensor) -> Rate | None:
    if subject.facts.task is not Task.CLASSIFY or one.shape != two.shape:
        return None
    first, second = (_chosen(subject, values) for values in (one, two))
    return Rate(int((first == second).sum()), first.numel())


def _chosen(subject: Subject, values: Tensor) -> Tensor:
    if subject.facts.loss in ("bce", "bce_logits"):
        return values > (0.5 if subject.facts.loss == "bce" else 0)
    return values.argmax(-1) if subject.facts.classes > 1 else values > 0


def _right(subject: Subject, values: Tensor, labels: Tensor | None) -> Rate | None:
    if labels is None or subject.facts.loss not in ("cross_entropy", "nll", "bce", "bce_logits"):
        return None
    if subject.facts.loss in ("cross_entropy", "nll"):
        scores, wanted = by_class(values, labels)
        return Rate(int((scores.argmax(-1) == wanted).sum()), len(wanted))
    if labels.numel() != values.numel():
        return None
    answers = _chosen(subject, values).reshape(-1)
    return Rate(int((answers == (labels.reshape(-1) > 0.5)).sum()), len(answers))  # noqa: PLR2004


def _loss(subject: Subject, values: Tensor, labels: Tensor | None) -> float | None:
    if labels is None or not subject.facts.loss or subject.facts.task is Task.GENERATE:
        return None
    if not labels.is_floating_point() and bool((labels == IGNORED_LABEL).all()):
        return None
    return float(losses(subject.facts.loss, values, labels).mean())
