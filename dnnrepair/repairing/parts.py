"""Data for the loop, cut into the part that trains, the one that chooses, and the judge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.data.spread import spread
from dnnrepair.errors import TooLittleDataError
from dnnrepair.repair_report import RepairPart
from dnnrepair.splitting import in_memory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from dnnrepair.data import ArraySamples, Samples

SHARES = (0.6, 0.2, 0.2)  # to train on, to choose, to judge
_LEAST = 8  # samples of a part
_USES = {
    "search": "copies are trained on it, and operations look at it",
    "selection": "says when to stop training, and chooses",
    "held-out": "judges; nothing else sees it",
}


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The data, cut.

    Attributes:
        search: what copies are trained on.
        selection: what stops training, and chooses.
        held_out: what judges.
        seen: search and selection together, on which is diagnosed.
    """

    search: ArraySamples
    selection: ArraySamples
    held_out: ArraySamples
    seen: ArraySamples

    @property
    def told(self) -> tuple[RepairPart, ...]:
        """What each part holds, for the report."""
        sizes = (self.search.size, self.selection.size, self.held_out.size)
        return tuple(
            RepairPart(name=name, samples=size, use=use)
            for (name, use), size in zip(_USES.items(), sizes, strict=True)
        )


def parts_of(
    samples: Samples | None,
    test: Samples | None,
    seed: int,
    shares: Sequence[float] = SHARES,
) -> Parts:
    """Return the data cut so that each part has its share of every class.

    Args:
        samples: the data; they must have labels.
        test: what judges instead of the last part; None for none.
        seed: of the shuffling.
        shares: of the three parts.

    Raises:
        TooLittleDataError: a part would be too small.
        DataError: there are no data.
    """
    whole = in_memory(samples)
    judge = None if test is None else in_memory(test)
    wanted = (*shares[:2], 0.0) if judge is not None else tuple(shares)
    places = spread(_strata(whole), wanted, seed)
    for part in places[: 2 if judge is not None else 3]:
        if len(part) < _LEAST:
            message = (
                f"{whole.name} holds {whole.size} samples, too few to train, choose and judge; "
                f"give {_needed(wanted)} at least"
            )
            raise TooLittleDataError(message)

    def named(chosen: Tensor, name: str) -> ArraySamples:
        return whole.subset(chosen.numpy(), name)

    search, selection, held_out = places
    return Parts(
        search=named(search, "the search part"),
        selection=named(selection, "the selection part"),
        held_out=judge if judge is not None else named(held_out, "the held-out part"),
        seen=named(torch.cat([search, selection]).sort().values, whole.name),
    )


def _strata(samples: ArraySamples) -> Tensor:
    targets = samples.targets
    if targets is None or targets.is_floating_point():
        return torch.zeros(samples.size, dtype=torch.int64)
    return targets.reshape(samples.size, -1)[:, 0].long()


def _needed(shares: Sequence[float]) -> int:
    return round(_LEAST * sum(shares) / min(share for share in shares if share) + 0.5)
