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
    change = rows.features.new_zeros(
        len(weights), rows.base.shape[1], rows.features.shape[1], requires_grad=True
    )
    optimizer = torch.optim.Adam([change], training.rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, training.steps)
    target = _Target.of(rows, weights, anchors, training.unit)
    progress.stage("training", training.steps)
    for _ in range(training.steps):
        optimizer.zero_grad()
        target.loss(change).backward()
        optimizer.step()
        schedule.step()
        progress.advance(1)
    return change.detach()


@dataclass(frozen=True, slots=True)
class _Target:
    """What is minimized: for labels, both parts together are a cross entropy with soft labels.

    Attributes:
        rows: what the last layer sees.
        wanted: ``(S, m, K)``: for labels, their weights plus the anchored probabilities; for values
            their weighted mean.
        mass: the sum of both weights, ``(S, m)``.
        unit: of values.
    """

    rows: Rows
    wanted: Tensor
    mass: Tensor
    unit: float

    @classmethod
    def of(cls, rows: Rows, weights: Tensor, anchors: Tensor, unit: float) -> _Target:
        pull = anchors[:, None].expand_as(weights) * rows.share
        weights = weights * rows.share
        mass = weights + pull
        if rows.labeled:
            first, second = F.one_hot(rows.wanted, _classes(rows)), probabilities(rows.base)
        else:
            first, second = rows.wanted, rows.base
        wanted = weights[..., None] * first + pull[..., None] * second
        return cls(rows, wanted, mass, unit)

    def loss(self, change: Tensor) -> Tensor:
        """Return the loss of all wishes together; none of them feels the others."""
        step = torch.einsum("md,skd->smk", self.rows.features, change)
        outputs = self.rows.base + step
        if self.rows.labeled:
            logs = log_probabilities(outputs)
            return -(self.wanted * logs).sum() / self.rows.inputs
        center = self.wanted / self.mass.clamp(min=1e-12)[..., None]
        errors = ((outputs - center) / self.unit).square().mean(-1)
        return (self.mass * errors).sum() / self.rows.inputs


def _weights(part: Part, weight: float) -> Tensor:
    """Return what each input counts, ``(n,)``: those to fix ``weight`` times their cost."""
    return torch.where(part.targets, weight, 1.0) * part.cost


def log_probabilities(outputs: Tensor) -> Tensor:
    """Return the logarithms of probabilities, ``(..., C)``; one logit makes two classes."""
    if outputs.shape[-1] == 1:
        return torch.cat([F.logsigmoid(-outputs), F.logsigmoid(outputs)], -1)
    return outputs.log_softmax(-1)


def probabilities(outputs: Tensor) -> Tensor:
    """Return the classes' probabilities, likewise."""
    return log_probabilities(outputs).exp()


def _classes(rows: Rows) -> int:
    return max(rows.base.shape[1], 2)
