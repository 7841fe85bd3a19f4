"""When a search has searched enough."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from dnnrepair.errors import SettingError

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.evolve.state import State

Reason = Literal["generations", "patience", "target", "seconds", "interrupted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """What ends a search, whichever comes first. The last rule is for all, the others for each.

    Attributes:
        generations: after that of the first population, at least 0.
        patience: a search ends when its best fitness has not risen for more generations.
        target: a search ends when its best fitness is at least this.
        seconds: of wall clock, of this run: a resumed search has them anew.
    """

    generations: int = 100
    patience: int | None = None
    target: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        """Refuse what could never be reached with a SettingError."""
        for name in ("generations", "patience", "seconds"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                message = f"{name} = {value} is out of range; set a number of 0 or more"
                raise SettingError(message)
        if self.target is not None and math.isnan(self.target):
            message = "the target fitness is NaN, which nothing reaches; set a number"
            raise SettingError(message)

    @classmethod
    def arachne(cls, generations: int = 100) -> Stopping:
        """Return the rule of Arachne's code: unchanged for more than max(10, a tenth of all)."""
        return cls(generations=generations, patience=max(10, generations // 10))

    @property
    def singly(self) -> bool:
        """Whether a search can end before the others."""
        return self.patience is not None or self.target is not None

    def ended(self, state: State) -> Tensor:
        """Return which searches have found what they can, bool ``(S,)``."""
        ended = torch.zeros_like(state.active)
        if self.patience is not None:
            ended = ended | (state.stale > self.patience)
        if self.target is not None:
            ended = ended | (state.best_fitness >= self.target)
        return ended

    def reasons(self, state: State, otherwise: Reason) -> tuple[Reason, ...]:
        """Return for each search why it ended; ``otherwise`` if of no rule of its own."""
        hit = torch.zeros_like(state.active)
        if self.target is not None:
            hit = state.best_fitness >= self.target
        pairs = zip(hit.tolist(), self.ended(state).tolist(), strict=True)
        return tuple("target" if a else "patience" if b else otherwise for a, b in pairs)
