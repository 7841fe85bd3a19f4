"""The weights most responsible for a gap, and least for being right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from dnnrepair.errors import DataError
from dnnrepair.fairness.responses import BATCH, Asking, Reading
from dnnrepair.fitness.disparity import tabled
from dnnrepair.fitness.fairness import margin_of
from dnnrepair.fixed_batch import filled
from dnnrepair.localize import Localizer, LocalizerSettings, localize
from dnnrepair.localize.scores import Scores
from dnnrepair.localize.suspects import Suspects
from dnnrepair.loss import losses
from dnnrepair.population.tail import Tail

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.data import ArraySamples
    from dnnrepair.fairness.case import Case

_SOFTNESS = 0.25  # of decisions, as a share of the margins' spread
_MOST = 2000  # inputs whose forward impact is measured


def suspects(case: Case, count: int | None = None) -> Suspects:
    """Return the weights to change, the most suspected first.

    Two scores, as in bidirectional localization (Sohn, Kang and Yoo, TOSEM 2023), with the gap in
    the place of the loss: the gradient of the soft gap over 1 plus that of the cross entropy, and
    the forward impact on the rows that are wronged over that on rows that are right.

    Args:
        case: what is to be made fair; the objective compares groups.
        count: how many, at least 1; None for the first Pareto front.

    Raises:
        DataError: nobody is wronged: the gap cannot be narrowed by answering right.
    """
    wronged, right = _contrast(case)
    layers = tuple(name for name in case.names if case.subject.tensors[name].dim() > 1)
    known = localize(case.subject, wronged, right, LocalizerSettings(layers=layers, seed=case.seed))
    gap, loss = _gradients(case, tuple(known.scores.shapes))
    scores = Scores(
        shapes=known.scores.shapes, gradient=gap / (1 + loss), impact=known.scores.impact
    )
    kind = Localizer.BIDIRECTIONAL if scores.impact.any() else Localizer.GRADIENT
    return Suspects.of(scores, kind, count, seed=case.seed, notes=known.notes)


def masks_of(case: Case, found: Suspects) -> dict[str, Tensor]:
    """Return which numbers of each tensor may change, 1 or 0, by name."""
    masks = {n: torch.zeros_like(case.subject.tensors[n]) for n in found.scores.shapes}
    for place in found.places:
        masks[place.tensor][place.index] = 1.0
    return {name: mask for name, mask in masks.items() if bool(mask.any())}


def _contrast(case: Case) -> tuple[ArraySamples, ArraySamples]:
    """Return wrong rows of the cell with the highest error rate, and as many that are right."""
    cohort = case.repair
    found = Asking.of(case.subject, cohort).responses()
    wrong = found.predicted != cohort.classes
    cells = np.where(cohort.groups >= 0, cohort.groups * 2 + cohort.labels, -1)
    rates = {cell: wrong[cells == cell].mean() for cell in np.unique(cells[cells >= 0])}
    worst = max(rates, key=lambda cell: (rates[cell], -cell))
    places = np.flatnonzero(wrong & (cells == worst))[:_MOST]
    if not len(places):
        message = f"{cohort.samples.name}: no row is decided wrong, so that no weight is suspected"
        raise DataError(message)
    rng = np.random.default_rng(case.seed)
    others = rng.permutation(np.flatnonzero(~wrong))[: len(places)]
    samples = cohort.samples
    return samples.subset(places, "wronged"), samples.subset(np.sort(others), "right")


def _gradients(case: Case, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return absolute gradients of the soft gap and of the loss, ``(M,)`` each."""
    subject, cohort = case.subject, case.repair
    values = {n: subject.tensors[n].detach().clone().requires_grad_() for n in names}
    tail, reading = Tail.of(subject.running, names), Reading.of(subject)
    spread = float(Asking.of(subject, cohort).responses().margins.std())
    size = subject.running.batch_size or BATCH
    groups, labels = torch.from_numpy(cohort.groups), torch.from_numpy(cohort.labels)
    classes = torch.from_numpy(cohort.classes)
    soft: list[Tensor] = []
    loss = torch.zeros(())
    for batch in cohort.samples.batches(size):
        here = slice(batch.start, batch.start + len(batch))
        recorded = tail.record(filled(batch.inputs, subject.running.batch_size, subject.device))
        prediction = tail.run(recorded, values)[: len(batch)]
        margins = margin_of(reading.logits(prediction, classes[here]), cohort.positive)
        soft.append(torch.sigmoid(margins / max(_SOFTNESS * spread, 1e-6)).cpu())
        wanted = classes[here].to(prediction.device)
        loss = loss + losses(subject.facts.loss, prediction, wanted).sum().cpu() / len(cohort)
    inside = groups >= 0
    table = tabled(groups[inside], labels[inside], torch.cat(soft)[inside], len(cohort.levels))
    gap = case.disparity.gap(table)
    found = []
    for what in (gap, loss):
        parts = torch.autograd.grad(what, list(values.values()), retain_graph=True)
        flat = torch.cat([part.abs().reshape(-1) for part in parts])
        found.append(flat.double().cpu().numpy())
    return found[0], found[1]
