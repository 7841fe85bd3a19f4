"""Training a copy of the last layer for each of several wishes, all at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from dnnrepair.methods.heads import Head
from dnnrepair.methods.method import Proposal, used
from dnnrepair.methods.rows import rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from dnnrepair.methods.method import Part, Problem
    from dnnrepair.methods.rows import Rows
    from dnnrepair.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How the last layer is trained.

    Attributes:
        steps: over all rows together, at least 1.
        rate: of Adam at the start; it falls in a line to 0.
        unit: of predicted values: by what their errors are measured, above 0.
    """

    steps: int = 100
    rate: float = 3e-3
    unit: float = 1.0


def proposed(problem: Problem, wishes: Sequence[tuple[float, float]], steps: int) -> list[Proposal]:
    """Return the retrained last layer for each weight of the inputs to fix and each anchor.

    The others that count are those that were right; errors that are not to be fixed are left out.

    Raises:
        ModelError: the network does not end in a linear layer.
        DataError: what enters that is NaN, or the labels do not fit.
    """
    head = Head.of(problem.subject, problem.layers)
    problem.progress.stage("running the network", None)
    part = used(problem.search)
    rows = rows_of(problem.subject, part.samples, head)
    changes = retrained(
        rows,
        torch.stack([rows.of(_weights(part, weight)) for weight, _ in wishes]),
        torch.tensor([anchor for _, anchor in wishes], device=rows.features.device),
        Training(steps=steps, unit=problem.tolerance),
        problem.progress,
    )
    return [
        Proposal(
            name=f"weight {weight:g}, anchor {anchor:g}",
            tensors=head.changed(problem.subject.tensors, change),
            settings={"weight": weight, "anchor": anchor, "steps": steps},
        )
        for (weight, anchor), change in zip(wishes, changes, strict=True)
    ]


def retrained(
    rows: Rows, weights: Tensor, anchors: Tensor, training: Training, progress: Progress
) -> Tensor:
    """Return changes of the last layer, ``(S, K, D)``, one for each of S wishes.

    Each minimizes the weighted mean loss of the rows plus ``anchor`` times the mean divergence from
    what the network said before: of labels cross entropy and the Kullback-Leibler divergence, of
    values squared errors and squared distances.

    Args:
        rows: what the last layer sees, m of them.
        weights: of the rows' losses, ``(S, m)``.
        anchors: ``(S,)``, at least 0.
        training: how.
        progress: is told of the steps.
    """
    target = _Target.of(rows, weights, anchors, training.unit)
    change = rows.features.new_zeros(len(weights), rows.base.shape[1], rows.features.shape[1])
    change.requires_grad_()
    optimizer = torch.optim.Adam([change], training.rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, training.steps)
    progress.stage("training", training.steps)
    for _ in range(training.steps):
        change.grad = target.gradient(change.detach())
        optimizer.step()
        schedule.step()
        progress.advance(1)
    return change.detach()


@dataclass(frozen=True, slots=True)
class _Target:
    """What is minimized, by its gradient: both parts together wish for one output of each row.

    With respect to a row's outputs z it is ``scale * (mass * link(z) - wanted)``: the canonical
    link of cross entropy is the softmax, of one logit the sigmoid, of squared errors the identity.

    Attributes:
        rows: what the last layer sees, m of them.
        wanted: ``(m, S, K)``: for labels, their weights plus the anchored probabilities; for values
            their weighted sum.
        mass: the sum of both weights, ``(m, S, 1)``.
        scale: of the gradient.
    """

    rows: Rows
    wanted: Tensor
    mass: Tensor
    scale: float

    @classmethod
    def of(cls, rows: Rows, weights: Tensor, anchors: Tensor, unit: float) -> _Target:
        share = rows.share[:, None, None]
        weigh, pull = weights.mT[..., None] * share, anchors[:, None] * share
        outputs = rows.base.shape[1]
        if not rows.labeled:
            wish, scale = rows.wanted, 2 / (unit**2 * outputs)
        elif outputs == 1:
            wish, scale = rows.wanted[:, None], 1.0
        else:
            wish, scale = F.one_hot(rows.wanted, outputs), 1.0
        wanted = weigh * wish[:, None] + pull * _link(rows, rows.base)[:, None]
        return cls(rows, wanted, weigh + pull, scale / rows.inputs)

    def gradient(self, change: Tensor) -> Tensor:
        """Return the gradient of all wishes, ``(S, K, D)``; none of them feels the others."""
        features = self.rows.features
        outputs = (features @ change.flatten(0, 1).mT).view_as(self.wanted)
        outputs += self.rows.base[:, None]
        errors = _link(self.rows, outputs).mul_(self.mass).sub_(self.wanted)
        return (errors.flatten(1).mT @ features).mul_(self.scale).view_as(change)


def _link(rows: Rows, outputs: Tensor) -> Tensor:
    """Return what is expected of each output, ``(..., K)``: probabilities, or the values."""
    if not rows.labeled:
        return outputs
    return outputs.sigmoid() if outputs.shape[-1] == 1 else outputs.softmax(-1)


def _weights(part: Part, weight: float) -> Tensor:
    """Return what each input counts, ``(n,)``: those to fix ``weight`` times their cost."""
    return torch.where(part.targets, weight, 1.0) * part.cost
