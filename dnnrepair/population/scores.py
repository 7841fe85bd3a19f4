"""From predictions of any shape to outputs per class and row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dnnrepair.errors import DataError
from dnnrepair.fitness.fitness import SCALE, exact_sums
from dnnrepair.fitness.outputs import Outputs
from dnnrepair.loss import IGNORED_LABEL
from dnnrepair.observation import Task
from dnnrepair.population.values import Dense, Sparse

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import Any

    from dnnrepair.fitness.fitness import Fitness
    from dnnrepair.observation import Facts


@dataclass(frozen=True)
class Judge:
    """Turns predictions into verdicts and weighted sums.

    Attributes:
        fitness: what is maximized.
        facts: task and loss, which tell what the prediction is.
    """

    fitness: Fitness
    facts: Facts

    @property
    def by_class(self) -> bool:
        """Whether targets are labels."""
        return self.facts.task is Task.CLASSIFY

    def check(self, shape: tuple[int, ...], targets: Tensor | None) -> Tensor:
        """Return targets as the fitness wants them.

        Args:
            shape: of the prediction, batch first.
            targets: as the data give them.

        Raises:
            DataError: if there are none, or they do not fit the prediction.
        """
        if targets is None:
            message = "a fitness compares predictions with labels, and the data have none"
            raise DataError(message)
        if not self.by_class:
            if targets.numel() != torch.Size(shape).numel():
                message = (
                    f"targets are {tuple(targets.shape)} where predictions are {shape}; regression "
                    "needs one for each prediction, and labels of classes are whole numbers"
                )
                raise DataError(message)
            return targets
        labels = _whole(targets)
        classes = self._classes(shape, labels)
        counted = labels[labels != IGNORED_LABEL]
        if counted.numel() and not 0 <= int(counted.min()) <= int(counted.max()) < classes:
            message = (
                f"labels run from {int(counted.min())} to {int(counted.max())}, "
                f"the network has {classes} classes"
            )
            raise DataError(message)
        if labels.numel() * self._outputs(shape, labels) != torch.Size(shape).numel():
            message = f"labels are {tuple(labels.shape)} where predictions are {shape}"
            raise DataError(message)
        return labels

    def _outputs(self, shape: tuple[int, ...], labels: Tensor) -> int:
        return shape[class_dim(shape, labels)] if len(shape) > 1 else 1

    def _classes(self, shape: tuple[int, ...], labels: Tensor) -> int:
        width = self._outputs(shape, labels)
        return 2 if width == 1 else width

    def outputs(
        self,
        prediction: Sparse | Dense,
        targets: Tensor,
        recall: Callable[[Hashable, Callable[[], Any]], Any] | None,
    ) -> Outputs:
        """Return predictions with outputs first and one row per label.

        Args:
            prediction: of p candidates for a block of inputs.
            targets: of the block, as :meth:`check` returned them.
            recall: returns what depends on the block alone, computed once; None to compute it each
                time, with no shape or slice that depends on values.
        """
        shape = prediction.shape
        rows = targets.reshape(-1) if self.by_class else targets.reshape(len(targets), -1)
        dim = class_dim(shape, targets) if self.by_class else -1
        if isinstance(prediction, Sparse) and self._counts_classes(prediction, dim):
            whole = prediction.base.whole
            base = recall("base", lambda: _rows(whole(), dim)) if recall else _rows(whole(), dim)
            changed = prediction.values.flatten(2)
            return Outputs(changed, prediction.units, base, rows, recall, self.facts.squashed)
        values = prediction.dense() if isinstance(prediction, Sparse) else prediction.values
        if not self.by_class:
            flat = values.reshape(*values.shape[:2], -1).movedim(-1, 0)
            return Outputs(flat, None, None, rows, recall)
        if len(shape) == 1:
            values, dim = values.unsqueeze(-1), -1
        first = values.movedim(dim + 1 if dim >= 0 else dim, 0).flatten(2)
        if len(first) == 1:
            first = self._two_classes(first)
        return Outputs(first, None, None, rows, recall, self.facts.squashed)

    def _counts_classes(self, prediction: Sparse, dim: int) -> bool:
        """Tell whether the changed units are classes."""
        shape = prediction.shape
        if not self.by_class or len(shape) < 2 or shape[dim] < 2:  # noqa: PLR2004 - two classes
            return False
        return prediction.dim == dim % len(shape) and prediction.span == 1

    def _two_classes(self, score: Tensor) -> Tensor:
        """Return two outputs whose softmax gives the one probability that the network gives."""
        if self.facts.loss == "bce":
            score = torch.logit(score)
        return torch.cat([torch.zeros_like(score), score])

    def judge(self, outputs: Outputs, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return verdicts ``(p, n)`` and weighted sums ``(F, p)`` as whole numbers of 2^-24.

        Args:
            outputs: of p candidates for a block of inputs.
            targets: of the block.
            weights: of each term and input, ``(F, n)`` or ``(F, p, n)``, multiplied by 2^24.
        """
        right, terms = self.fitness.terms(outputs)
        if self.by_class and targets.dim() > 1:
            right, terms = _per_input(right, terms, targets)
        sums = [exact_sums(term, weight) for term, weight in zip(terms, weights, strict=True)]
        return right, torch.stack(sums)

    def total(self, sums: Tensor) -> Tensor:
        """Return the fitness ``(P,)`` from sums ``(F, P)``."""
        return self.fitness.total(sums / SCALE)


def _whole(targets: Tensor) -> Tensor:
    """Return labels as int64."""
    labels = targets.long()
    if targets.is_floating_point() and not torch.equal(labels.to(targets.dtype), targets):
        value = float(targets[labels.to(targets.dtype) != targets][0])
        message = f"{value:g} is a value, not the number of a class; try --task regress"
        raise DataError(message)
    return labels


def class_dim(shape: tuple[int, ...], targets: Tensor) -> int:
    """Return the dimension of classes: the last, or 1 where targets have the others."""
    others = (*shape[:1], *shape[2:])
    return 1 if len(shape) > 2 and tuple(targets.shape) == others else -1  # noqa: PLR2004


def _rows(value: Tensor, dim: int) -> Tensor:
    moved = value.movedim(dim, -1)
    return moved.reshape(-1, moved.shape[-1])


def _per_input(
    right: Tensor, terms: tuple[Tensor, ...], targets: Tensor
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Pool tokens: an input is right if all are, its term is their mean; ignored ones left out."""
    counted = (targets != IGNORED_LABEL).reshape(len(targets), -1)  # (n, T)
    share = counted / counted.sum(1, keepdim=True).clamp(min=1)
    shape = (len(right), *counted.shape)
    pooled = tuple((term.view(shape) * share.to(term.dtype)).sum(-1) for term in terms)
    return (right.view(shape) | ~counted).all(-1), pooled
