"""Data for a repair, cut into the part that is searched, the one that chooses, and the judge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.data import ArraySamples
from dnnrepair.data.spread import spread
from dnnrepair.errors import DataError
from dnnrepair.methods.method import Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from dnnrepair.answers import Answers
    from dnnrepair.data import Samples
    from dnnrepair.goal import Aim

__all__ = ["SHARES", "Cut", "cut", "in_memory", "part_of", "spread", "whole"]

SHARES = (0.4, 0.2, 0.4)  # to search, to choose, to judge
_BATCH = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Where each input goes: positions, int64, ascending, disjoint, together all.

    Attributes:
        search: what weights are fitted to.
        selection: what chooses among proposals.
        held_out: what judges the chosen one; empty where other data do.
    """

    search: Tensor
    selection: Tensor
    held_out: Tensor


def cut(answers: Answers, aim: Aim, seed: int, shares: Sequence[float] = SHARES) -> Cut:
    """Return a cut that gives each part its share of every kind of answer.

    A kind is one class taken for one other (or for itself), targets apart. Shares are kept to
    within one input of each kind, of all targets, and in total.

    Args:
        answers: of the untouched network.
        aim: which inputs are targets.
        seed: of the shuffling.
        shares: of the three parts, at least 0; the last is 0 where other data judge.

    Raises:
        DataError: if a part is left without a target, or without an input that is right.
    """
    parts = spread(_strata(answers, aim), shares, seed)
    found = Cut(**dict(zip(("search", "selection", "held_out"), parts, strict=True)))
    for name, part, share in zip(("search", "selection", "held-out"), parts, shares, strict=True):
        for what, mask in (("to fix", aim.targets), ("it gets right", answers.correct)):
            if share and not bool(mask[part].any()):
                message = (
                    f"no input {what} is left for the {name} part of {len(answers)} inputs; "
                    "give more data"
                )
                raise DataError(message)
    return found


def whole(samples: ArraySamples, answers: Answers, aim: Aim) -> Part:
    """Return all inputs with what the untouched network makes of them."""
    return Part(
        samples=samples,
        correct=answers.correct,
        targets=aim.targets,
        protected=aim.protected,
        cost=aim.cost,
    )


def part_of(samples: ArraySamples, answers: Answers, aim: Aim, places: Tensor, name: str) -> Part:
    """Return some of the inputs with what the untouched network makes of them."""
    return Part(
        samples=samples.subset(places.numpy(), name),
        correct=answers.correct[places],
        targets=aim.targets[places],
        protected=aim.protected[places],
        cost=aim.cost[places],
    )


def in_memory(samples: Samples | None) -> ArraySamples:
    """Return samples as arrays, because a repair reads them many times.

    Raises:
        DataError: if there are none, or they have no labels.
    """
    if samples is None or not samples.labeled:
        what = "there are no data" if samples is None else f"{samples.name} has no labels"
        message = f"{what}; a repair compares answers with labels: give labeled data with --data"
        raise DataError(message)
    if isinstance(samples, ArraySamples):
        return samples
    batches = list(samples.batches(_BATCH))
    inputs = tuple(torch.cat(same) for same in zip(*(b.inputs for b in batches), strict=True))
    targets = torch.cat([batch.targets for batch in batches if batch.targets is not None])
    return ArraySamples(inputs, targets, samples.name, notes=samples.notes)


def _strata(answers: Answers, aim: Aim) -> Tensor:
    """Number the kinds of answers, those of targets first."""
    keys = [(~aim.targets).long(), answers.correct.long()]
    if answers.labels is not None and answers.predicted is not None:
        keys += [answers.labels, answers.predicted]
    _, kinds = torch.unique(torch.stack(keys, 1), dim=0, return_inverse=True)
    found: Tensor = kinds
    return found
