"""What SHADE learns from its successes, and the parents that JADE keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from dnnrepair.evolve.rounded import total

if TYPE_CHECKING:
    from dnnrepair.evolve.state import State

_AT_FIRST = 0.5  # every remembered rate and scale
_TINY = 2.0**-1022  # the least normal number


class History(NamedTuple):
    """The memory of S searches.

    Attributes:
        rates: remembered scales, then crossover rates, float64 ``(S, 2, H)``.
        slot: which of the H is the next to be forgotten, int64 ``(S,)``.
        archive: replaced parents, ``(S, A, k)``.
        archived: how many of the A are in use, the first ones; int64 ``(S,)``.
    """

    rates: Tensor
    slot: Tensor
    archive: Tensor
    archived: Tensor

    @classmethod
    def empty(cls, population: Tensor, memory: int, room: int) -> History:
        """Return what is known before anything has happened."""
        searches, _, weights = population.shape
        zeros = torch.zeros(searches, dtype=torch.int64, device=population.device)
        rates = torch.full(
            (searches, 2, memory), _AT_FIRST, dtype=torch.float64, device=zeros.device
        )
        archive = population.new_zeros((searches, room, weights))
        return cls(rates, zeros, archive, zeros.clone())

    @classmethod
    def of(cls, state: State) -> History:
        """Return the memory of a state that SHADE made."""
        return cls(*state.memory)


def remember(
    history: History,
    parents: Tensor,
    gain: Tensor,
    rates: tuple[Tensor, Tensor],
    keep: Tensor,
) -> History:
    """Return the history after a generation.

    Args:
        history: so far.
        parents: that may have been replaced, ``(S, P, k)``.
        gain: in fitness over the parent, ``(S, P)``; 0 where there was no success.
        rates: scale and crossover rate of each trial, both ``(S, P)``.
        keep: words that choose what stays in the archive, ``(S, A + P)``.
    """
    scale, crossover = rates
    share = gain / gain.amax(dim=1, keepdim=True).clamp(min=_TINY)
    first = share * scale
    moments = torch.stack((first, share, first * scale, share * crossover), dim=1)
    below, above = total(moments).unflatten(1, (2, 2)).unbind(dim=1)
    means = above / below  # Lehmer and arithmetic, weighted by gain (SHADE, Eqs. 14 and 18)
    learnt = below[:, 1] > 0
    size = history.rates.shape[2]
    here = (torch.arange(size, device=gain.device) == history.slot[:, None]) & learnt[:, None]
    archive, archived = _archive(history, parents, gain > 0, keep)
    return History(
        torch.where(here[:, None], means[..., None], history.rates),
        (history.slot + learnt) % size,
        archive,
        archived,
    )


def _archive(
    history: History, parents: Tensor, replaced: Tensor, keep: Tensor
) -> tuple[Tensor, Tensor]:
    """Add the replaced parents; where there are too many, each is as likely to stay."""
    room, weights = history.archive.shape[1:]
    slots = torch.arange(room, device=keep.device)
    used = torch.cat((slots < history.archived[:, None], replaced), dim=1)
    chances = torch.where(used, keep & (2**63 - 1), -1)  # what is not in use comes last
    chosen = chances.argsort(dim=1, descending=True, stable=True)[:, :room]
    known = torch.cat((history.archive, parents), dim=1)
    archive = known.gather(1, chosen[..., None].expand(-1, -1, weights))
    archived = used.sum(dim=1).clamp(max=room)
    changed = replaced.any(dim=1)  # a search that stands still keeps its archive bit for bit
    return torch.where(changed[:, None, None], archive, history.archive), archived
