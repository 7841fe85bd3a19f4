"""Rows to descend on: batches that each have their share of every group and label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from dnnrepair.fixed_batch import filled

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.fairness.case import Case
    from dnnrepair.population.tail import Recorded, Tail


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Some rows, as the tail of a network reads them.

    Attributes:
        recorded: what the tail reads of them.
        groups: of each, int64 ``(n,)``.
        labels: whether each is of the positive class, bool ``(n,)``.
        classes: of each, int64 ``(n,)``.
        counts: what each counts in the loss, ``(n,)``.
        twins: what the tail reads of the same rows with another value of the attribute, where the
            objective compares these.
    """

    recorded: Recorded
    groups: Tensor
    labels: Tensor
    classes: Tensor
    counts: Tensor
    twins: tuple[Recorded, ...] = ()

    def __len__(self) -> int:
        return len(self.groups)


def batches_of(case: Case, tail: Tail, size: int, weight: float) -> list[Batch]:
    """Return the rows that repair in batches, each with its share of every group and label.

    Args:
        case: whose rows.
        tail: of the network.
        size: rows at a time, unless the network runs with one size only.
        weight: what a positive row counts, others count 1.
    """
    cohort, subject = case.repair, case.subject
    rng = np.random.default_rng(case.seed)
    program = subject.running
    count = max(1, len(cohort) // (program.batch_size or size))
    strata = cohort.groups * 2 + cohort.labels
    order = np.concatenate(
        [rng.permutation(np.flatnonzero(strata == one)) for one in np.unique(strata)]
    )
    found = []
    for place in range(count):
        rows = order[place::count]
        part = cohort.at(torch.from_numpy(rows), cohort.name)
        labels = torch.from_numpy(part.labels).to(subject.device)

        def read(samples: object, size: int = len(rows)) -> Recorded:
            (batch,) = samples.batches(size)  # type: ignore[attr-defined]
            return tail.record(filled(batch.inputs, program.batch_size, subject.device))

        found.append(
            Batch(
                recorded=read(part.samples),
                groups=torch.from_numpy(part.groups).to(subject.device),
                labels=labels.bool(),
                classes=torch.from_numpy(part.classes),
                counts=torch.where(labels > 0, weight, 1.0),
                twins=tuple(map(read, part.twins)),
            )
        )
    return found
