"""Data for a repair, cut into the part that is searched, the one that chooses, and the judge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from dnnrepair.data import ArraySamples
from dnnrepair.errors import DataError
from dnnrepair.methods.method import Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from dnnrepair.answers import Answers
    from dnnrepair.data import Samples
    from dnnrepair.goal import Aim

    Shares = NDArray[np.float64]

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

    Kinds are the targets, and for each class and answer the others; a share is kept to within one
    input of each kind.

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


def spread(strata: Tensor, shares: Sequence[float], seed: int) -> tuple[Tensor, ...]:
    """Return disjoint positions that together are all, each stratum shared out alike.

    Args:
        strata: what each input belongs to, int64 ``(n,)``.
        shares: of the parts, at least 0; they are divided by their sum.
        seed: of the shuffling.
    """
    rng = np.random.default_rng(seed)
    wanted = np.asarray(shares, float) / np.sum(shares)
    owed = np.zeros(len(wanted))  # what rounding has kept from each part so far
    parts: list[list[NDArray[np.int64]]] = [[] for _ in wanted]
    for stratum in np.unique(strata.numpy()):
        members = rng.permutation(np.flatnonzero(strata.numpy() == stratum))
        counts = _counts(len(members), wanted, owed)
        owed += wanted * len(members) - counts
        for part, some in zip(parts, np.split(members, np.cumsum(counts)[:-1]), strict=True):
            part.append(some)
    return tuple(torch.from_numpy(np.sort(np.concatenate(part))) for part in parts)


def part_of(samples: ArraySamples, answers: Answers, aim: Aim, places: Tensor, name: str) -> Part:
    """Return some of the inputs with what the untouched network makes of them."""
    return Part(
        samples=samples.subset(places.numpy(), name),
        correct=answers.correct[places],
        targets=aim.targets[places],
        protected=aim.protected[places],
        cost=aim.cost[places],
    )


def in_memory(samples: Samples) -> ArraySamples:
    """Return samples as arrays, because a repair reads them many times.

    Raises:
        DataError: if they have no labels.
    """
    if not samples.labeled:
        message = f"{samples.name} has no labels; a repair compares answers with labels"
        raise DataError(message)
    if isinstance(samples, ArraySamples):
        return samples
    batches = list(samples.batches(_BATCH))
    inputs = tuple(torch.cat(same) for same in zip(*(b.inputs for b in batches), strict=True))
    targets = torch.cat([batch.targets for batch in batches if batch.targets is not None])
    return ArraySamples(inputs, targets, samples.name, notes=samples.notes)


def _strata(answers: Answers, aim: Aim) -> Tensor:
    """Number the kinds of answers, targets first."""
    keys = [aim.targets.long(), answers.correct.long()]
    if answers.labels is not None and answers.predicted is not None:
        keys += [answers.labels, answers.predicted]
    _, kinds = torch.unique(torch.stack(keys, 1), dim=0, return_inverse=True)
    found: Tensor = kinds
    return found


def _counts(
    count: int, wanted: NDArray[np.float64], owed: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return how many of a stratum each part gets: its share, the rest to whom most is owed."""
    exact = wanted * count
    counts = np.floor(exact).astype(np.int64)
    order = np.argsort(-(exact - counts + 1e-3 * owed + 1e3 * (wanted > 0)), kind="stable")
    counts[order[: count - counts.sum()]] += 1
    return counts
