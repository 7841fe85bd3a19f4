"""The predictions of many candidates for a block of inputs, as a fitness function sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")

FEW = 32  # runs of equal labels; of more, picking labels one by one is faster than run by run
LARGEST = 3e38  # about the largest float32


@dataclass(frozen=True, slots=True)
class Outputs:
    """Predictions, outputs first: reductions over classes then run along long rows of inputs.

    Rows are inputs, or tokens or pixels of inputs.

    Attributes:
        changed: the outputs that differ between candidates, ``(u, p, rows)``.
        units: which outputs these are; None for all of them, in order.
        base: the unpatched outputs, ``(rows, C)``; not needed where ``units`` is None.
        targets: labels ``(rows,)``, or values ``(rows, C)`` for regression.
        recall: returns what depends on the block alone, computed once; None where what is
            computed is traced, and no shape or slice may depend on values.
        probabilities: outputs are probabilities, not logits.
    """

    changed: Tensor
    units: tuple[int, ...] | None
    base: Tensor | None
    targets: Tensor
    recall: Callable[[Hashable, Callable[[], Any]], Any] | None
    probabilities: bool = False

    @property
    def static(self) -> bool:
        """Whether no shape or slice may depend on values."""
        return self.recall is None

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:  # noqa: ANN401 - any value
        """Return what depends on the block alone, computed once where it can be kept."""
        return make() if self.recall is None else self.recall(key, make)

    def full(self) -> Tensor:
        """Return all outputs, ``(C, p, rows)``."""
        if self.units is None:
            return self.changed
        base = self._base().t().unsqueeze(1)
        full = base.expand(-1, *self.changed.shape[1:])
        full = full.clone(memory_format=torch.contiguous_format)
        full[list(self.units)] = self.changed
        return full

    def labels(self) -> Tensor:
        """Return the labels as indices, with 0 where one is ignored (negative)."""
        found: Tensor = self.once("labels", lambda: self.targets.long().clamp(min=0))
        return found

    def of_label(self) -> Tensor:
        """Return the output of each row's label, ``(p, rows)``."""
        if self.units is None:
            return self._of_label_among_all()
        if self.static:
            return self._of_label_by_mask(self.units)
        own = self.once("label", lambda: self._base().gather(1, self.labels()[:, None])[:, 0])
        found: Tensor = own.expand(self.changed.shape[1:]).clone()
        for place, rows in self.once("rows of units", self._rows_of_units):
            found[:, rows] = self.changed[place, :, rows]
        return found

    def _of_label_among_all(self) -> Tensor:
        runs = () if self.static else self.once("runs", self._runs)
        if not runs:
            index = self.labels().expand(1, *self.changed.shape[1:])
            return self.changed.gather(0, index)[0]
        return torch.cat([self.changed[label, :, rows] for label, rows in runs], 1)

    def _runs(self) -> list[tuple[int, slice]]:
        """Return the rows, cut where the label changes, with their label; none if many."""
        labels, counts = self.labels().unique_consecutive(return_counts=True)
        if len(labels) > FEW:
            return []
        ends = counts.cumsum(0)
        rows = map(slice, (ends - counts).tolist(), ends.tolist())
        return list(zip(labels.tolist(), rows, strict=True))

    def _of_label_by_mask(self, units: tuple[int, ...]) -> Tensor:
        labels = self.labels()
        found = self._base().gather(1, labels[:, None])[:, 0].expand(self.changed.shape[1:])
        for place, unit in enumerate(units):
            found = torch.where(labels == unit, self.changed[place], found)
        return found

    def _rows_of_units(self) -> list[tuple[int, slice | Tensor]]:
        """Return where each changed output is the label: a slice where rows are in order."""
        labels = self.labels()
        found: list[tuple[int, slice | Tensor]] = []
        for place, unit in enumerate(self.units or ()):
            rows = (labels == unit).nonzero()[:, 0]
            if len(rows):
                first, last = int(rows[0]), int(rows[-1])
                together = last - first + 1 == len(rows)
                found.append((place, slice(first, last + 1) if together else rows))
        return found

    def largest(self) -> Tensor:
        """Return the largest output of each row, ``(p, rows)``; NaN if one is."""
        changed = self.changed.amax(0)
        if self.units is None or self._is_whole():
            return changed
        return torch.maximum(changed, self.once("rest max", lambda: self._rest().amax(1)))

    def losses(self, label: Tensor) -> Tensor:
        """Return the cross entropy of each row, ``(p, rows)``.

        Args:
            label: the output of each row's label, by :meth:`of_label`.
        """
        return -label.log() if self.probabilities else self._log_total() - label

    def losses_at(self, label: Tensor, places: Tensor) -> Tensor:
        """Return the same at flat positions of ``(p, rows)``, as ``(m,)``."""
        own = label.view(-1).index_select(0, places)
        return -own.log() if self.probabilities else self._log_total_at(places) - own

    def _log_total(self) -> Tensor:
        if self.units is None or self._is_whole():
            return log_sum_exp(self.changed)
        return log_sum_exp(self.changed, self._rest_total())

    def _log_total_at(self, places: Tensor) -> Tensor:
        changed = self.changed.flatten(1).index_select(1, places)
        if self.units is None or self._is_whole():
            return log_sum_exp(changed)
        return log_sum_exp(changed, self._rest_total()[places % self.changed.shape[2]])

    def _rest_total(self) -> Tensor:
        found: Tensor = self.once("rest total", lambda: self._rest().logsumexp(1))
        return found

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


def log_sum_exp(values: Tensor, rest: Tensor | None = None) -> Tensor:
    """Return the logarithm of the sum over the first dimension of exponentials.

    The maximum is taken out first, as in ``torch.logsumexp``, which is slower along dimension 0.

    Args:
        values: ``(C, ...)``.
        rest: the same logarithm for further values, to be added to the sum.
    """
    top = values.amax(0)
    if rest is not None:
        top = torch.maximum(top, rest)
    top.clamp_(min=-LARGEST, max=LARGEST)  # an infinite one would leave inf - inf
    total = sum_in_place((values - top).exp_())
    if rest is not None:
        total += (rest - top).exp_()
    return total.log_().add_(top)


def sum_in_place(values: Tensor) -> Tensor:
    """Return the sum over the first dimension, halves added to halves; the values are lost.

    ``Tensor.sum`` adds the last few columns in another order than the others, so that a sum would
    depend on what stands beside it.

    Args:
        values: ``(C, ...)``, C at least 1.
    """
    count = len(values)
    while count > 1:
        half = count // 2
        values[:half].add_(values[count - half : count])
        count -= half
    return values[0]
