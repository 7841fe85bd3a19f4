"""Measures a descent on its way, and adapts what it is charged for its gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.fairness.pressure import Pressure
from dnnrepair.fitness.disparity import tabled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from dnnrepair.fairness.batching import Batch
    from dnnrepair.fairness.descent import Run

_AGAINST = 2.0  # how fast the multiplier of flips follows


@dataclass(slots=True)
class Follower:
    """Looks at a descent, and sets the pressure.

    Attributes:
        run: the descent.
        pressure: multipliers of the groups' rates.
        against: multiplier of flips, where the objective compares twins.
        place: of the batch that the next look begins with.
    """

    run: Run
    pressure: Pressure
    against: float = 0.0
    place: int = 0

    @classmethod
    def of(cls, run: Run) -> Follower:
        """Return one without pressure that knows how much each rate moves with the margins."""
        groups, disparity = len(run.case.repair.levels), run.case.disparity
        follower = cls(run, Pressure.none(len(disparity.rates), groups))
        if disparity.rates:
            low, high = (follower._table(bias) for bias in (-0.1, 0.1))
            slopes = (disparity.of_groups(high) - disparity.of_groups(low)).abs()
            follower.pressure = Pressure.none(len(slopes), groups, slopes.nanmean(1))
        return follower

    def charge(self, batch: Batch, soft: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        """Return what a batch is charged, differentiable.

        Args:
            batch: the rows.
            soft: how positive the decision on each is, ``(n,)``.
            tensors: the parameters that decided so.
        """
        disparity = self.run.case.disparity
        if not disparity.rates:
            return self.against * self._flips(batch, soft, tensors)
        return self.pressure.cost(self._tabled(batch, soft), disparity)

    @torch.no_grad()
    def look(self, share: float) -> None:
        """Measure, and adapt the multipliers.

        Half the decisions are taken hard, as they will be judged, half soft, as they are charged.

        Args:
            share: of the steps that are done.
        """
        run = self.run
        tolerance = run.settings.tolerated(run.gap, share)
        if run.case.disparity.rates:
            self.pressure.follow(run.case.disparity.of_groups(self._table()), tolerance)
            return
        tensors, found = run.tensors(run.steps), []
        for batch in self._some():
            _, soft = run.soft(batch, batch.recorded, tensors)
            found.append((float(self._flips(batch, soft, tensors)), len(batch)))
        flips = sum(mean * count for mean, count in found) / sum(count for _, count in found)
        self.against = max(0.0, self.against + _AGAINST * (flips - tolerance))

    @torch.no_grad()
    def _table(self, bias: float | None = None) -> Tensor:
        """Return the table ``(G, 2, 2)``; with a bias on soft decisions alone, to see them move."""
        whole = torch.zeros(len(self.run.case.repair.levels), 2, 2)
        tensors = self.run.tensors(self.run.steps)
        for batch in self._some():
            _, soft = self.run.soft(batch, batch.recorded, tensors)
            if bias is None:
                soft = 0.5 * (soft > 0.5).to(soft) + 0.5 * soft  # noqa: PLR2004 - more than even
            else:
                soft = torch.sigmoid(torch.logit(soft, 1e-6) + bias)
            whole += self._tabled(batch, soft).cpu()
        return whole

    def _tabled(self, batch: Batch, soft: Tensor) -> Tensor:
        inside = batch.groups >= 0
        count = len(self.run.case.repair.levels)
        return tabled(batch.groups[inside], batch.labels[inside], soft[inside], count)

    def _some(self) -> Iterator[Batch]:
        """Yield batches, all if they are not too many, others than the last time if they are."""
        batches, rows = self.run.batches, 0
        for _ in range(len(batches)):
            batch = batches[self.place % len(batches)]
            if rows and rows + len(batch) > self.run.settings.measured:
                return
            self.place, rows = self.place + 1, rows + len(batch)
            yield batch

    def _flips(self, batch: Batch, soft: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        """Return the mean largest change of a decision when the attribute alone is changed."""
        others = [self.run.soft(batch, twin, tensors)[1] for twin in batch.twins]
        return torch.stack([(soft - other).abs() for other in others]).amax(0).mean()
