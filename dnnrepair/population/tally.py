"""Adding up what candidates gain from block to block, and giving up on those that cannot win."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnnrepair.population.blocks import Block
    from dnnrepair.population.scores import Judge


@dataclass
class Tally:
    """The sums of P candidates over the blocks so far.

    Attributes:
        judge: turns sums into fitness.
        certain: what inputs that are not evaluated add, ``(F, S)``.
        search_of: the search of each candidate, ``(P,)``.
        threshold: the fitness that each has to reach, ``(P,)``; None to give up on none.
        left: the most that the blocks to come can add, ``(F, S)``.
        sums: weighted sums ``(F, P)``, as whole numbers of 2^-24.
        alive: the candidates that can still reach their threshold, ``(A,)``.
    """

    judge: Judge
    certain: Tensor
    search_of: Tensor
    threshold: Tensor | None
    left: Tensor
    sums: Tensor
    alive: Tensor

    @classmethod
    def of(
        cls,
        judge: Judge,
        certain: Tensor,
        blocks: Sequence[Block],
        search_of: Tensor,
        threshold: Tensor | None,
    ) -> Tally:
        """Begin with nothing."""
        left = torch.zeros_like(certain)
        if threshold is not None:
            left += sum(map(_most, blocks))
        return cls(
            judge=judge,
            certain=certain,
            search_of=search_of,
            threshold=threshold,
            left=left,
            sums=certain.new_zeros(len(certain), len(search_of)),
            alive=torch.arange(len(search_of), device=certain.device),
        )

    def enter(self, block: Block) -> Tensor:
        """Return the candidates for whom a block has to be evaluated; the next one, in order."""
        if self.threshold is not None:
            best = self.sums + (self.left + self.certain)[:, self.search_of]
            hopeless = self.judge.total(best) < self.threshold  # NaN compares false: none given up
            self.alive = self.alive[~hopeless[self.alive]]
            self.left = self.left - _most(block)
        return self.alive

    def result(self) -> Tensor:
        """Return the sums, minus infinity for candidates that were given up."""
        if self.threshold is not None:
            hopeless = torch.ones(len(self.search_of), dtype=torch.bool, device=self.sums.device)
            hopeless[self.alive] = False
            self.sums[:, hopeless] = -torch.inf
        return self.sums


def _most(block: Block) -> Tensor:
    """Return the most that a block can add, ``(F, S)``: its weights, rounded as terms of 1 are."""
    return block.weights.round().sum(-1, dtype=torch.float64)
