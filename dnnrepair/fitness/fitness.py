"""What a fitness function is, and how its terms add up to the same sum in any order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from dnnrepair.errors import SettingError

if TYPE_CHECKING:
    from dnnrepair.fitness.outputs import Outputs

SCALE = 2.0**24  # a term is rounded to so many parts of one input's largest contribution


class Fitness(Protocol):
    """A function of predictions and targets, to be maximized.

    It is a function of sums over inputs of weighted terms in [0, 1]. Each product of term and
    weight is rounded to a multiple of 2^-24; sums of those are exact in float64, so the result does
    not depend on how candidates and inputs are cut into chunks, or on how many processes share
    them.

    Attributes:
        weights: of each term and input, ``(F, S, N)``, at least 0: F terms, S independent searches.
        certain: the terms ``(F,)`` of an input whose verdict is right for every candidate, where
            they are the same for all of these; None if they are not (nothing can be pruned then).
    """

    @property
    def weights(self) -> Tensor: ...  # noqa: D102

    @property
    def certain(self) -> tuple[float, ...] | None: ...  # noqa: D102

    def terms(self, outputs: Outputs) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return verdicts (right or not), ``(p, rows)`` bool, and F terms ``(p, rows)``."""
        ...

    def total(self, sums: Tensor) -> Tensor:
        """Return the fitness ``(P,)`` from the weighted sums ``(F, P)``."""
        ...


@dataclass(frozen=True, slots=True)
class Weighted:
    """The common form: one term, one weight per input (and search), and their sum.

    Attributes:
        weight: ``(N,)``, or ``(S, N)`` for S independent searches.
    """

    weight: Tensor

    def __post_init__(self) -> None:
        """Check the weights.

        Raises:
            SettingError: if they are negative, not finite, or of another shape.
        """
        ok = self.weight.dim() in (1, 2) and bool(self.weight.isfinite().all())
        if not ok or bool((self.weight < 0).any()):
            message = "the weights of a fitness are finite, at least 0 and (inputs,) in shape"
            raise SettingError(message)

    @property
    def certain(self) -> tuple[float, ...] | None:
        """Nothing is known of right inputs in general."""
        return None

    @property
    def weights(self) -> Tensor:
        """The weights as ``(1, S, N)``."""
        return self.weight.reshape(1, -1, self.weight.shape[-1])

    def total(self, sums: Tensor) -> Tensor:
        """Return the only sum."""
        return sums[0]


def check_above_zero(what: str, value: float) -> None:
    """Refuse a setting that is not above 0.

    Raises:
        SettingError: with what it is, and what it must be.
    """
    if not value > 0:
        message = f"the {what} is {value}; it must be above 0"
        raise SettingError(message)


def exact_sums(terms: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted sums of terms over inputs as whole numbers of 2^-24, float64.

    Args:
        terms: ``(p, n)`` in [0, 1].
        weights: ``(n,)`` or ``(p, n)``, already multiplied by ``SCALE``.
    """
    return torch.mul(terms, weights).round_().sum(-1, dtype=torch.float64)
