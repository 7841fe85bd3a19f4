"""The predictions of many candidates for a block of inputs, as a fitness function sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outputs:
    """Predictions, outputs first: reductions over classes then run along long rows of inputs.

    Rows are inputs, or tokens or pixels of inputs.

    Attributes:
        changed: the outputs that differ between candidates, ``(u, p, rows)``.
        units: which outputs these are; None for all of them, in order.
        base: the unpatched outputs, ``(rows, C)``; not needed where ``units`` is None.
        targets: labels ``(rows,)``, or values ``(rows, C)`` for regression.
        recall: returns what depends on the block alone, computed once.
    """

    changed: Tensor
    units: tuple[int, ...] | None
    base: Tensor | None
    targets: Tensor
    recall: Callable[[Hashable, Callable[[], Any]], Any]

    def full(self) -> Tensor:
        """Return all outputs, ``(C, p, rows)``."""
        if self.units is None:
            return self.changed
        base = self._base().t().unsqueeze(1)
        full = base.expand(-1, *self.changed.shape[1:]).contiguous()
        if full.shape[1] == 1:
            full = full.clone()  # of one candidate it was no copy
        full[list(self.units)] = self.changed
        return full

    def labels(self) -> Tensor:
        """Return the labels as indices, with 0 where one is ignored (negative)."""
        found: Tensor = self.recall("labels", lambda: self.targets.long().clamp(min=0))
        return found

    def of_label(self) -> Tensor:
        """Return the output of each row's label, ``(p, rows)``."""
        if self.units is None:
            index = self.labels().expand(1, *self.changed.shape[1:])
            return self.changed.gather(0, index)[0]
        fixed = self.recall("label", lambda: self._base().gather(1, self.labels()[:, None])[:, 0])
        masks = self.recall("is unit", lambda: [self.labels() == unit for unit in self.units or ()])
        found: Tensor = fixed.expand(self.changed.shape[1:])
        for mask, values in zip(masks, self.changed, strict=True):
            found = torch.where(mask, values, found)
        return found

    def largest(self) -> Tensor:
        """Return the largest output of each row, ``(p, rows)``; NaN if one is."""
        changed = self.changed.amax(0)
        if self.units is None or self._is_whole():
            return changed
        return torch.maximum(changed, self.recall("rest max", lambda: self._rest().amax(1)))

    def log_total(self) -> Tensor:
        """Return the logarithm of the sum of exponentials of the outputs, ``(p, rows)``."""
        if self.units is None or self._is_whole():
            return log_sum_exp(self.changed)
        rest = self.recall("rest total", lambda: self._rest().logsumexp(1))
        return log_sum_exp(torch.cat([self.changed, rest.expand(1, *self.changed.shape[1:])]))

    def at(self, rows: Tensor) -> Outputs:
        """Return the outputs at flat positions of ``(p, rows)``, as those of one candidate.

        Args:
            rows: positions, ``(m,)``.
        """
        changed = self.changed.flatten(1)[:, rows].unsqueeze(1)
        count = self.changed.shape[2]
        if self.units is None:
            targets = self.targets[rows % count] if self.targets.dim() else self.targets
            return Outputs(changed, None, None, targets, recall_nothing)
        inputs = rows % count
        return Outputs(
            changed, self.units, self._base()[inputs], self.targets[inputs], recall_nothing
        )

    def _is_whole(self) -> bool:
        return self.base is not None and len(self.units or ()) == self.base.shape[1]

    def _base(self) -> Tensor:
        assert self.base is not None  # given where not all outputs changed  # noqa: S101
        return self.base

    def _rest(self) -> Tensor:
        base = self._base()
        kept = [unit for unit in range(base.shape[1]) if unit not in set(self.units or ())]
        return base[:, kept]


def recall_nothing(_key: Hashable, make: Callable[[], T]) -> T:
    """Compute anew what is asked for."""
    return make()


def log_sum_exp(values: Tensor) -> Tensor:
    """Return the logarithm of the sum over the first dimension of exponentials.

    The maximum is taken out first, as in ``torch.logsumexp``, which is slower along dimension 0.
    """
    top = values.amax(0)
    top = torch.where(top.isfinite(), top, torch.zeros_like(top))
    return (values - top).exp_().sum(0).log_().add_(top)
