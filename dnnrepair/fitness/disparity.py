"""How far apart groups are, as tensors: differentiable, and for many candidates at once.

The same numbers as :mod:`dnnrepair.fairness.metrics` gives for tables of counts (tests hold them
against each other); here tables may also hold sums of probabilities, and small cells may shrink.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import SettingError

if TYPE_CHECKING:
    from torch import Tensor

# of the table of a group (label, prediction): cells that are hits, and cells that are tries
_ALL = ((1.0, 1.0), (1.0, 1.0))
_CELLS = {
    "selection_rate": (((0.0, 1.0), (0.0, 1.0)), _ALL),
    "tpr": (((0.0, 0.0), (0.0, 1.0)), ((0.0, 0.0), (1.0, 1.0))),
    "fpr": (((0.0, 1.0), (0.0, 0.0)), ((1.0, 1.0), (0.0, 0.0))),
    "ppv": (((0.0, 0.0), (0.0, 1.0)), ((0.0, 1.0), (0.0, 1.0))),
    "accuracy": (((1.0, 0.0), (0.0, 1.0)), _ALL),
}
_OBJECTIVES = {
    "dp": ("selection_rate",),
    "eopp": ("tpr",),
    "eodds": ("tpr", "fpr"),
    "aaod": ("tpr", "fpr"),
    "accgap": ("accuracy",),
    "ppv": ("ppv",),
}
OBJECTIVES = (*_OBJECTIVES, "flip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Disparity:
    """The largest difference between groups of a rate, or of several.

    Attributes:
        name: of the objective.
        rates: that are compared; empty if the objective compares no groups.
        mean: take the mean of the rates' gaps, not the largest.
    """

    name: str
    rates: tuple[str, ...]
    mean: bool = False

    @classmethod
    def named(cls, name: str) -> Disparity:
        """Return one of :data:`OBJECTIVES`.

        Raises:
            SettingError: if there is none of that name.
        """
        if name not in OBJECTIVES:
            message = f"no objective is called {name!r}; known: {', '.join(OBJECTIVES)}"
            raise SettingError(message)
        return cls(name=name, rates=_OBJECTIVES.get(name, ()), mean=name == "aaod")

    def of_groups(self, table: Tensor, *, shrunk: float = 0.0) -> Tensor:
        """Return the rates ``(..., R, G)`` of tables ``(..., G, 2, 2)``.

        Args:
            table: counts or sums of probabilities by group, label and prediction.
            shrunk: rows by which each cell is filled up at the rate of all groups together, so
                that the rate of a small cell is not taken at its word.
        """
        return torch.stack([_rate(name, table, shrunk) for name in self.rates], -2)

    def expected(self, table: Tensor, noise: Tensor) -> Tensor:
        """Return the gap to expect of the people that a table was drawn from ``(...)``.

        The smallest of many measured gaps is small by chance. Here the rates that may lie behind a
        table vary around the measured ones, with their standard errors, and the mean gap of these
        is taken: candidates whose gaps are small in all rates come before those whose largest gap
        happens to be.

        Args:
            table: counts ``(..., G, 2, 2)``.
            noise: standard normal draws ``(D, R, G)``, the same for all that are compared.
        """
        parts = [_hits_and_tries(name, table) for name in self.rates]
        hits, tries = (torch.stack(side, -2) for side in zip(*parts, strict=True))
        rates = (hits + 0.5) / (tries + 1)
        spread = (rates * (1 - rates) / (tries + 1)).sqrt()
        rates = rates.masked_fill(tries <= 0, torch.nan)
        extra = (1,) * (table.dim() - 3)
        drawn = rates + spread * noise.to(table).view(len(noise), *extra, *noise.shape[1:])
        return self.apart(drawn.clamp(0, 1)).mean(0)

    def gap(self, table: Tensor, *, shrunk: float = 0.0) -> Tensor:
        """Return the gap ``(...)`` of tables ``(..., G, 2, 2)``; a rate that is none counts not."""
        return self.apart(self.of_groups(table, shrunk=shrunk))

    def apart(self, rates: Tensor) -> Tensor:
        """Return the gap ``(...)`` of rates ``(..., R, G)``; a rate that is none counts not."""
        known = rates.isfinite()
        largest = rates.masked_fill(~known, -torch.inf).amax(-1)
        smallest = rates.masked_fill(~known, torch.inf).amin(-1)
        gaps = torch.where(known.sum(-1) > 1, largest - smallest, torch.zeros_like(largest))
        return gaps.mean(-1) if self.mean else gaps.amax(-1)


def tabled(groups: Tensor, labels: Tensor, positive: Tensor, count: int) -> Tensor:
    """Return the table ``(G, 2, 2)`` by group, label and prediction; differentiable.

    Args:
        groups: ``(n,)`` int64.
        labels: ``(n,)`` bool.
        positive: how positive each prediction is, ``(n,)`` in [0, 1].
        count: G.
    """
    cells = groups * 2 + labels.long()
    zeros = positive.new_zeros(count * 2)
    hits = zeros.index_add(0, cells, positive)
    rest = zeros.index_add(0, cells, 1 - positive)
    return torch.stack([rest, hits], -1).view(count, 2, 2)


def _rate(name: str, table: Tensor, shrunk: float) -> Tensor:
    """Return hits over tries ``(..., G)``, NaN where nothing was tried."""
    hits, tries = _hits_and_tries(name, table)
    if shrunk:
        total = tries.sum(-1, keepdim=True)
        pooled = hits.sum(-1, keepdim=True) / total.clamp(min=1e-12)
        hits, tries = hits + shrunk * pooled, tries + shrunk
    return torch.where(tries > 0, hits / tries.clamp(min=1e-12), torch.full_like(hits, torch.nan))


def _hits_and_tries(name: str, table: Tensor) -> tuple[Tensor, Tensor]:
    """Return what a rate counts ``(..., G)``, and of how many."""
    hits, tries = (table.new_tensor(which) for which in _CELLS[name])
    return (table * hits).sum((-2, -1)), (table * tries).sum((-2, -1))
