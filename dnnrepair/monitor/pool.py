"""The training batches before a look: what the network is looked at with."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from dnnrepair.observe import SKETCH_SIZE
from dnnrepair.probe import Batch

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.monitor.calls import Form, Passed

SOFT = 1e-3  # by which probabilities may miss the sum of 1


class Pool:
    """The last batches, together at most 512 samples and at least one batch."""

    def __init__(self) -> None:
        """Start empty."""
        self.passed: deque[Passed] = deque()
        self.batch_size = 1

    def add(self, passed: Passed) -> None:
        """Take in a batch; the oldest ones make room."""
        if not passed.inputs or not passed.inputs[0].dim():
            return
        self.batch_size = max(1, len(passed.inputs[0]))
        self.passed.append(replace(passed, targets=hard(passed.targets)))
        while len(self.passed) > 1 and self.size - len(self.passed[0].inputs[0]) >= SKETCH_SIZE:
            self.passed.popleft()

    def label(self, targets: Tensor) -> None:
        """Give targets to the last batch, if it has none and they fit."""
        if self.passed and self.passed[-1].targets is None and targets.dim():
            last = self.passed[-1]
            if len(targets) == len(last.inputs[0]):
                self.passed[-1] = replace(last, targets=hard(targets))

    @property
    def size(self) -> int:
        """How many samples there are."""
        return sum(len(passed.inputs[0]) for passed in self.passed)

    @property
    def steps(self) -> int:
        """How many batches of the present size fill the pool."""
        return -(-SKETCH_SIZE // self.batch_size)

    @property
    def form(self) -> Form | None:
        """How the network was called last, None if it was not."""
        return self.passed[-1].form if self.passed else None

    def batches(self) -> tuple[Batch, ...]:
        """Return the batches that are like the last one but for their size, oldest first.

        Targets are left out if some batch has none.
        """
        alike = [passed for passed in self.passed if _kind(passed) == _kind(self.passed[-1])]
        labeled = all(passed.targets is not None for passed in alike)
        return tuple(
            Batch(inputs=p.inputs, targets=p.targets if labeled else None, mask=p.mask)
            for p in alike
        )

    def clear(self) -> None:
        """Let go of all batches."""
        self.passed.clear()


def _kind(passed: Passed) -> object:
    """Return what batches must share for what is measured on them to add up."""
    return passed.form.places, [(x.shape[1:], x.dtype) for x in passed.inputs]


def hard(targets: Tensor | None) -> Tensor | None:
    """Return targets detached; probabilities ``(batch, classes)`` as the likeliest class."""
    if targets is None:
        return None
    values = targets.detach()
    if values.is_floating_point() and values.dim() == 2 and values.shape[1] > 1:  # noqa: PLR2004
        sums = values.sum(1)
        if bool((values >= 0).all() & ((sums - 1).abs() < SOFT).all()):
            return values.argmax(1)
    return values
