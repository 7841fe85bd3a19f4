"""The weights that are held responsible."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from dnnrepair.localize.pareto import leading, ranks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dnnrepair.localize.scores import Scores
    from dnnrepair.population.places import Place

    Positions = NDArray[np.int64]

COUNT = 10  # weights, where neither the user nor the method says how many


class Localizer(StrEnum):
    """How weights are chosen."""

    BIDIRECTIONAL = "bidirectional"  # that no other outdoes in gradient loss and forward impact
    GRADIENT = "gradient"  # of the largest gradient loss
    RANDOM = "random"


@dataclass(frozen=True)
class Suspects:
    """The weights that are held responsible, the most suspected first.

    Attributes:
        scores: of all M weights.
        localizer: how the suspects were chosen.
        positions: of the suspects among all weights, ``(k,)``.
        seed: of a random choice.
        notes: what the user should know.
    """

    scores: Scores
    localizer: Localizer
    positions: Positions
    seed: int = 0
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        scores: Scores,
        localizer: Localizer,
        count: int | None = None,
        *,
        seed: int = 0,
        notes: tuple[str, ...] = (),
    ) -> Suspects:
        """Choose among all weights.

        Args:
            scores: of all weights.
            localizer: how to choose.
            count: how many, at least 1; None for the whole first front, or else for
                :data:`COUNT`.
            seed: of a random choice.
            notes: what the user should know.
        """
        if localizer is Localizer.BIDIRECTIONAL:
            chosen = leading(scores.gradient, scores.impact, count)
        else:
            chosen = _order(scores, localizer, seed)[: count or COUNT]
        return cls(scores, localizer, chosen, seed, notes)

    def __len__(self) -> int:
        """Return k."""
        return len(self.positions)

    @property
    def places(self) -> tuple[Place, ...]:
        """Which weights they are."""
        return tuple(self.scores.place(int(position)) for position in self.positions)

    @property
    def gradient_loss(self) -> NDArray[np.float64]:
        """Gradient loss of each, negatives against positives, ``(k,)``."""
        return self.scores.gradient[self.positions]

    @property
    def forward_impact(self) -> NDArray[np.float64]:
        """Forward impact of each, negatives against positives, ``(k,)``."""
        return self.scores.impact[self.positions]

    def rank_of(self, place: Place) -> int:
        """Return the rank, from 1, of a weight among all M; the suspects have ranks 1 to k."""
        return int(self._ranks[self.scores.position(place)])

    @cached_property
    def _ranks(self) -> Positions:
        if self.localizer is Localizer.BIDIRECTIONAL:
            return ranks(self.scores.gradient, self.scores.impact)
        order = _order(self.scores, self.localizer, self.seed)
        found = np.empty(len(order), np.int64)
        found[order] = np.arange(1, len(order) + 1)
        return found


def _order(scores: Scores, localizer: Localizer, seed: int) -> Positions:
    """Return the positions of all weights, the most suspected first."""
    if localizer is Localizer.RANDOM:
        return np.random.default_rng(seed).permutation(len(scores))
    return np.argsort(-scores.gradient, kind="stable")
