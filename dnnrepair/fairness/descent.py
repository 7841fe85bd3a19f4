"""Search by gradient: train on while the tolerated gap shrinks, and keep what passes by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from dnnrepair.fairness.candidate import Candidate
from dnnrepair.fairness.pressure import Pressure
from dnnrepair.fairness.responses import Asking, Reading
from dnnrepair.fitness.disparity import tabled
from dnnrepair.fitness.fairness import margin_of
from dnnrepair.fixed_batch import filled
from dnnrepair.loss import losses
from dnnrepair.population.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from dnnrepair.fairness.case import Case
    from dnnrepair.population.tail import Recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Descent:
    """How to descend.

    Attributes:
        emphases: weights of positive rows, relative to what the network was trained with: more
            emphasis keeps more positive decisions, at the price of accuracy. One run for each.
        steps: of each run, whatever the number of rows.
        looks: candidates that each run leaves behind, evenly spaced.
        batch: rows at a time; every batch has its share of each group and label.
        rate: of Adam at the start; it falls in a line to a twentieth.
        average: of the weights' running mean, how much of it is kept at each step.
        check: steps after which the multipliers follow what was measured.
        floor: the tolerated gap at the end, as a share of the gap at the start.
        softness: of decisions, as a share of the margins' original spread.
    """

    emphases: tuple[float, ...] = (1.0, 1.25, 1.5)
    steps: int = 600
    looks: int = 20
    batch: int = 512
    rate: float = 2e-3
    average: float = 0.98
    check: int = 12
    floor: float = 0.1
    softness: float = 0.25

    def candidates(self, case: Case) -> Iterator[Candidate]:
        """Yield candidates of each run, from the gentlest to the boldest."""
        case.progress.stage("descending", len(self.emphases) * self.looks)
        for emphasis in self.emphases:
            yield from _Run.of(case, self, emphasis).candidates()


@dataclass(slots=True)
class _Batch:
    """Some rows: what the tail reads of them, their groups, labels, classes, and what they count.

    Twins, where there are some, are what the tail reads of the same rows with another value of the
    attribute.
    """

    recorded: Recorded
    groups: Tensor
    labels: Tensor
    classes: Tensor
    counts: Tensor
    twins: tuple[Recorded, ...] = ()


@dataclass(slots=True)
class _Run:
    case: Case
    settings: Descent
    emphasis: float
    tail: Tail
    reading: Reading
    batches: list[_Batch]
    steps: dict[str, Tensor]  # what is added to each tensor
    mean: dict[str, Tensor]  # the running mean of that
    scale: float
    gap: float

    @classmethod
    def of(cls, case: Case, settings: Descent, emphasis: float) -> _Run:
        subject, cohort = case.subject, case.repair
        tail = Tail.of(subject.running, case.names)
        before = Asking.of(subject, cohort).responses()
        base = torch.from_numpy(cohort.table(before.predicted))
        steps = {n: torch.zeros_like(subject.tensors[n]).requires_grad_() for n in case.names}
        return cls(
            case=case,
            settings=settings,
            emphasis=emphasis,
            tail=tail,
            reading=Reading.of(subject),
            batches=_batches(
                case, settings, tail, emphasis * _balance(cohort.labels, before.scores)
            ),
            steps=steps,
            mean={n: torch.zeros_like(value) for n, value in steps.items()},
            scale=max(settings.softness * float(before.margins.std()), 1e-6),
            gap=float(case.disparity.gap(base)) if case.disparity.rates else case.flips(),
        )

    def candidates(self) -> Iterator[Candidate]:
        settings, rng = self.settings, np.random.default_rng(self.case.seed)
        optimizer = torch.optim.Adam(list(self.steps.values()), settings.rate)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, settings.steps)
        follower = _Follower.of(self)
        looks = np.linspace(0, settings.steps, settings.looks + 1).round().astype(int)[1:].tolist()
        order: list[int] = []
        for done in range(1, settings.steps + 1):
            order = order or rng.permutation(len(self.batches)).tolist()
            optimizer.zero_grad()
            self.loss(self.batches[order.pop()], follower).backward()
            optimizer.step()
            schedule.step()
            self._keep(done)
            follower.passed(done / settings.steps)
            if done in looks:
                self.case.progress.advance(1)
                yield self._candidate(done)

    def _candidate(self, done: int) -> Candidate:
        tensors = {name: value.clone() for name, value in self.tensors(self.mean).items()}
        return Candidate(
            name=f"emphasis {self.emphasis:g}, step {done}",
            method="descent",
            tensors=self.case.storable(tensors),
            settings={"emphasis": self.emphasis, "step": done, "rate": self.settings.rate},
        )

    def loss(self, batch: _Batch, follower: _Follower) -> Tensor:
        """Return the weighted mean loss of a batch and what its gaps are charged."""
        prediction = self.tail.run(batch.recorded, self.tensors(self.steps))[: len(batch.groups)]
        margins = margin_of(
            self.reading.logits(prediction, batch.classes), self.case.repair.positive
        )
        soft = torch.sigmoid(margins / self.scale)
        each = losses(self.case.subject.facts.loss, prediction, batch.classes.to(prediction.device))
        own = batch.counts.repeat_interleave(len(each) // len(batch.counts)).to(each)
        loss = (own * each).sum() / own.sum()
        return loss + follower.charge(batch, margins, soft)

    def tensors(self, steps: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the parameters with what is added to them."""
        case = self.case
        return {
            name: case.subject.tensors[name].detach() + step * case.masks.get(name, 1.0)
            for name, step in steps.items()
        }

    @torch.no_grad()
    def _keep(self, done: int) -> None:
        kept = min(self.settings.average, done / (done + 10))
        for name, step in self.steps.items():
            if self.case.bound is not None:
                step.clamp_(-self.case.bound, self.case.bound)
            self.mean[name].lerp_(step, 1 - kept)


@dataclass(slots=True)
class _Follower:
    """Measures as the batches pass by, and adapts the pressure."""

    run: _Run
    pressure: Pressure
    table: Tensor  # sums of half hard, half soft decisions since the last look
    against: float = 0.0  # multiplier of flips
    flips: float = 0.0
    seen: int = 0

    @classmethod
    def of(cls, run: _Run) -> _Follower:
        groups = len(run.case.repair.levels)
        rates = len(run.case.disparity.rates)
        return cls(run, Pressure.none(rates, groups), torch.zeros(groups, 2, 2))

    def charge(self, batch: _Batch, margins: Tensor, soft: Tensor) -> Tensor:
        disparity, self.seen = self.run.case.disparity, self.seen + 1
        if not disparity.rates:
            return self._flips(batch, soft)
        inside = batch.groups >= 0
        groups, labels, count = batch.groups[inside], batch.labels[inside], len(self.table)
        mixed = 0.5 * (margins > 0).to(soft) + 0.5 * soft
        self.table = self.table + tabled(groups, labels, mixed.detach()[inside], count).cpu()
        return self.pressure.cost(tabled(groups, labels, soft[inside], count), disparity)

    def passed(self, share: float) -> None:
        """Adapt, if it is time to."""
        run = self.run
        if self.seen < min(run.settings.check, max(1, len(run.batches))):
            return
        tolerance = run.gap * (1 - (1 - run.settings.floor) * min(1.0, share / 0.6))
        if run.case.disparity.rates:
            self.pressure.follow(run.case.disparity.of_groups(self.table), tolerance)
        else:
            self.against = max(0.0, self.against + 2 * (self.flips / self.seen - tolerance))
        self.table, self.flips, self.seen = torch.zeros_like(self.table), 0.0, 0

    def _flips(self, batch: _Batch, soft: Tensor) -> Tensor:
        """Charge the largest change of a decision when the attribute alone is changed."""
        run, found = self.run, []
        for twin in batch.twins:
            prediction = run.tail.run(twin, run.tensors(run.steps))[: len(soft)]
            logits = run.reading.logits(prediction, batch.classes)
            other = torch.sigmoid(margin_of(logits, run.case.repair.positive) / run.scale)
            found.append((soft - other).abs())
        largest = torch.stack(found).amax(0).mean()
        self.flips += float(largest.detach())
        return self.against * largest


def _balance(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return the weight of positive rows that the network seems to have been trained with."""
    said, true = (float(np.clip(x.mean(), 1e-3, 1 - 1e-3)) for x in (scores, labels))
    return said / (1 - said) / (true / (1 - true))


def _batches(case: Case, settings: Descent, tail: Tail, weight: float) -> list[_Batch]:
    """Return batches, each with its share of every group and label."""
    cohort, subject = case.repair, case.subject
    rng = np.random.default_rng(case.seed)
    program = subject.running
    count = max(1, len(cohort) // (program.batch_size or settings.batch))
    strata = cohort.groups * 2 + cohort.labels
    order = np.concatenate(
        [rng.permutation(np.flatnonzero(strata == one)) for one in np.unique(strata)]
    )
    found = []
    for place in range(count):
        rows = order[place::count]
        part = cohort.at(torch.from_numpy(rows), cohort.name)
        labels = torch.from_numpy(part.labels).to(subject.device)

        def read(samples: object, size: int = len(rows)) -> Recorded:
            (batch,) = samples.batches(size)  # type: ignore[attr-defined]
            return tail.record(filled(batch.inputs, program.batch_size, subject.device))

        found.append(
            _Batch(
                recorded=read(part.samples),
                groups=torch.from_numpy(part.groups).to(subject.device),
                labels=labels.bool(),
                classes=torch.from_numpy(part.classes),
                counts=torch.where(labels > 0, weight, 1.0),
                twins=tuple(map(read, part.twins)),
            )
        )
    return found
