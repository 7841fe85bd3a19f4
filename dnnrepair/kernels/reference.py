"""The kernels in plain torch: their oracle, and what runs where they cannot.

Sums over weights, units and classes run in a fixed order and sums over inputs are whole numbers,
so a candidate's fitness does not depend on the others nor on how many are evaluated at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import torch
from torch.nn import functional as F

from dnnrepair.kernels.tasks import Scores, check_changes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from dnnrepair.kernels.tasks import Activation, ConvTail, Head, Scoring, Tail

UNIT = 2.0**-24  # fitness is counted in these
BLOCK = 2**20  # numbers in the largest intermediate tensor of a block of candidates


def activation(spec: Activation) -> Callable[[Tensor], Tensor]:
    """Return torch's own function for an activation."""
    functions: dict[str, Callable[[Tensor], Tensor]] = {
        "identity": torch.clone,
        "relu": F.relu,
        "leaky_relu": partial(F.leaky_relu, negative_slope=spec.slope),
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
        "gelu": F.gelu,
        "gelu_tanh": partial(F.gelu, approximate="tanh"),
        "silu": F.silu,
        "elu": partial(F.elu, alpha=spec.slope),
    }
    return functions[spec.name]


def terms(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return each input's part of the fitness and whether the label won, both ``(P, N)``.

    Arachne's fitness (Sohn, Kang and Yoo, TOSEM 2023, arXiv:1912.12463): 1 for a right answer,
    ``1 / (1 + cross entropy)`` for a wrong one. The label wins a tie. NaN logits are wrong and
    add nothing.

    Args:
        logits: ``(C, P, N)``.
        labels: ``(N,)``, the true classes.
    """
    where = labels.long().expand(1, *logits.shape[1:])
    own = logits.gather(0, where)[0]
    right = own >= logits.amax(dim=0)  # never where one is NaN
    wrong = (1 + (logits.logsumexp(dim=0) - own)).reciprocal().nan_to_num(nan=0.0)
    return torch.where(right, torch.ones_like(wrong), wrong), right


def score(logits: Tensor, scoring: Scoring, searches: Tensor, *, verdicts: bool) -> Scores:
    """Score logits ``(C, P, N)`` of candidates that belong to ``searches`` ``(P,)``."""
    term, right = terms(logits, scoring.labels)
    weights = scoring.weights.expand(scoring.searches, -1)[searches]
    units = ((term * weights).double() / UNIT).round().long()
    return Scores(units.sum(dim=1).double() * UNIT, right.byte() if verdicts else None)


@dataclass(frozen=True, slots=True)
class HeadReference:
    """A :class:`Head` in plain torch."""

    backend: ClassVar[str] = "torch"
    task: Head

    def __call__(self, changes: Tensor, *, verdicts: bool = False) -> Scores:
        """Score candidates; see :class:`Evaluator`."""
        return _by_block(self._logits, changes, self.task, verdicts=verdicts)

    def _logits(self, changes: Tensor) -> Tensor:
        task = self.task
        return _scatter(task.base, task.unit_of, changes, task.columns)


@dataclass(frozen=True, slots=True)
class TailReference:
    """A :class:`Tail` in plain torch."""

    backend: ClassVar[str] = "torch"
    task: Tail

    def __call__(self, changes: Tensor, *, verdicts: bool = False) -> Scores:
        """Score candidates; see :class:`Evaluator`."""
        return _by_block(self._logits, changes, self.task, verdicts=verdicts)

    def _logits(self, changes: Tensor) -> Tensor:
        task = self.task
        function = activation(task.activation)
        after = function(_scatter(task.before, task.unit_of, changes, task.columns))
        delta = after - function(task.before)[:, None]  # (u, P, N)
        logits = task.base[:, None].repeat(1, len(changes), 1)  # (C, P, N)
        for unit, moved in enumerate(delta):
            logits.addcmul_(task.weight[:, unit, None, None], moved[None])
        return logits


@dataclass(frozen=True, slots=True)
class ConvReference:
    """A :class:`ConvTail` in plain torch."""

    backend: ClassVar[str] = "torch"
    task: ConvTail

    def __call__(self, changes: Tensor) -> Tensor:
        """Return what the Linear gives; see :class:`ConvEvaluator`."""
        check_changes(changes, len(self.task.unit_of), 1)
        return torch.stack([self._one(change) for change in changes])

    def _one(self, change: Tensor) -> Tensor:
        task = self.task
        function = activation(task.activation)
        patched = task.before.clone()  # (N, u, s)
        for place, unit in enumerate(task.unit_of.tolist()):
            patched[:, unit].addcmul_(change[place], task.planes[:, place])
        delta = function(patched) - function(task.before)
        return torch.addmm(task.base, delta.flatten(1), task.weight.flatten(0, 1))


def _scatter(rows: Tensor, unit_of: Tensor, changes: Tensor, columns: Tensor) -> Tensor:
    """Return ``rows`` ``(u, N)`` with each candidate's changes added, ``(u, P, N)``."""
    moved = rows[:, None].repeat(1, len(changes), 1)
    for place, unit in enumerate(unit_of.tolist()):
        moved[unit].addcmul_(changes[:, place, None], columns[place])
    return moved


def _by_block(
    logits: Callable[[Tensor], Tensor], changes: Tensor, task: Head | Tail, *, verdicts: bool
) -> Scores:
    """Score a few candidates after another, as memory has it."""
    scoring = task.scoring
    check_changes(changes, len(task.unit_of), scoring.searches)
    each = len(changes) // scoring.searches
    searches = torch.arange(len(changes), device=changes.device) // each
    found = [
        score(logits(changes[rows]), scoring, searches[rows], verdicts=verdicts)
        for rows in _blocks(len(changes), task.base.numel())
    ]
    kept = [part.verdicts for part in found if part.verdicts is not None]
    fitness = torch.cat([part.fitness for part in found])
    return Scores(fitness, torch.cat(kept) if verdicts else None)


def _blocks(count: int, size: int) -> Iterator[slice]:
    step = max(1, BLOCK // size)
    return (slice(start, start + step) for start in range(0, count, step))
