"""An opt-in screen: a fast, rounded score rejects hopeless candidates, the rest is scored exactly.

TF32 and bfloat16 round the evaluation of a candidate, and differential evolution accepts on ``>=``,
so a rounded score may never decide for a candidate. It may decide against one whose distance to
its parent is larger than the rounding can be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Screen:
    """An evaluator that scores exactly what a fast one does not reject.

    Attributes:
        fast: a rounded fitness, ``(P, k) -> (P,)``.
        exact: the fitness, ``(P, k) -> (P,)``; each candidate's must not depend on the others.
        threshold: the fitness that each candidate has to reach, ``(P,)``, when called.
        slack: how far the fast fitness may lie below the exact one, at least 0.
    """

    fast: Callable[[Tensor], Tensor]
    exact: Callable[[Tensor], Tensor]
    threshold: Callable[[], Tensor]
    slack: float

    def survivors(self, values: Tensor) -> Tensor:
        """Return which candidates may reach the threshold, ``(P,)`` bool.

        A NaN on either side rejects nothing.
        """
        return ~(self.fast(values) + self.slack < self.threshold())

    def __call__(self, values: Tensor) -> Tensor:
        """Return the exact fitness ``(P,)``, and minus infinity where a candidate was rejected.

        How many survive is known on the host only after the fast scores: this waits for the device,
        and cannot be part of a captured graph.
        """
        alive = self.survivors(values)
        fitness = torch.full(alive.shape, -torch.inf, dtype=torch.float64, device=values.device)
        if bool(alive.any()):
            fitness[alive] = self.exact(values[alive]).double()
        return fitness


def screened(
    fast: Callable[[Tensor], Tensor],
    exact: Callable[[Tensor], Tensor],
    threshold: Callable[[], Tensor] | Tensor,
    slack: float,
) -> Screen:
    """Return an evaluator that scores exactly what ``fast`` does not reject; see :class:`Screen`.

    Who reaches the threshold, and with what fitness, is as if all had been scored exactly, provided
    ``fast + slack >= exact`` everywhere.

    Raises:
        SettingError: the slack is negative or NaN.
    """
    if not slack >= 0:
        message = f"a slack of {slack} would reject candidates that pass; give 0 or more"
        raise SettingError(message)
    given = threshold
    return Screen(fast, exact, given if callable(given) else lambda: given, slack)
