"""Search by gradient: train on while the tolerated gap shrinks, and keep what passes by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from dnnrepair.fairness.batching import batches_of
from dnnrepair.fairness.candidate import Candidate
from dnnrepair.fairness.following import Follower
from dnnrepair.fairness.responses import Asking, Reading
from dnnrepair.fairness.twins import Twins
from dnnrepair.fitness.fairness import margin_of
from dnnrepair.loss import losses
from dnnrepair.population.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from dnnrepair.fairness.batching import Batch
    from dnnrepair.fairness.case import Case
    from dnnrepair.population.tail import Recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Descent:
    """How to descend.

    The defaults were set on networks for Adult and Default with seeds that the benchmark does not
    use.

    Attributes:
        emphases: weights of positive rows, relative to what the network was trained with: more
            emphasis keeps more positive decisions, at the price of accuracy. One run for each.
        steps: of each run, whatever the number of rows.
        looks: candidates that each run leaves behind, evenly spaced.
        batch: rows at a time; every batch has its share of each group and label.
        rate: of Adam at the start; it falls in a line to a twentieth.
        average: of the weights' running mean, how much of it is kept at each step.
        check: steps after which the multipliers follow what is measured.
        measured: rows at most that one such measurement takes.
        floor: the tolerated gap at the end, as a share of the gap at the start.
        ramp: share of the steps after which it is reached.
        softness: of decisions, as a share of the margins' original spread.
    """

    emphases: tuple[float, ...] = (1.25, 1.75)
    steps: int = 450
    looks: int = 30
    batch: int = 1024
    rate: float = 2e-3
    average: float = 0.95
    check: int = 10
    measured: int = 65_536
    floor: float = 0.0
    ramp: float = 0.7
    softness: float = 0.25

    def candidates(self, case: Case) -> Iterator[Candidate]:
        """Yield candidates of each run, from the gentlest to the boldest."""
        case.progress.stage("descending", len(self.emphases) * self.looks)
        for emphasis in self.emphases:
            yield from Run.of(case, self, emphasis).candidates()

    def tolerated(self, gap: float, share: float) -> float:
        """Return the tolerated gap after a share of the steps, of a gap at the start."""
        return gap * (1 - (1 - self.floor) * min(1.0, share / self.ramp))


@dataclass(slots=True, kw_only=True)
class Run:
    """One descent.

    Attributes:
        case: what is to be made fair.
        settings: how.
        emphasis: weight of positive rows.
        tail: what the parameters can change.
        reading: of predictions.
        batches: the rows.
        steps: what is added to each tensor.
        mean: the running mean of that.
        scale: of soft decisions.
        gap: at the start.
    """

    case: Case
    settings: Descent
    emphasis: float
    tail: Tail
    reading: Reading
    batches: list[Batch]
    steps: dict[str, Tensor]
    mean: dict[str, Tensor]
    scale: float
    gap: float

    @classmethod
    def of(cls, case: Case, settings: Descent, emphasis: float) -> Run:
        """Prepare."""
        subject, cohort = case.subject, case.repair
        tail = Tail.of(subject.running, case.names)
        before = Asking.of(subject, cohort).responses()
        base, twins = torch.from_numpy(cohort.table(before.predicted)), Twins.of(case, cohort)
        steps = {n: torch.zeros_like(subject.tensors[n]).requires_grad_() for n in case.names}
        weight = emphasis * _balance(cohort.labels, before.scores)
        return cls(
            case=case,
            settings=settings,
            emphasis=emphasis,
            tail=tail,
            reading=Reading.of(subject),
            batches=batches_of(case, tail, settings.batch, weight),
            steps=steps,
            mean={n: torch.zeros_like(value) for n, value in steps.items()},
            scale=max(settings.softness * float(before.margins.std()), 1e-6),
            gap=float(case.disparity.gap(base)) if case.disparity.rates else twins.flips(before),
        )

    def candidates(self) -> Iterator[Candidate]:
        """Descend, and yield what passes by."""
        settings, rng = self.settings, np.random.default_rng(self.case.seed)
        optimizer = torch.optim.Adam(list(self.steps.values()), settings.rate, betas=(0.9, 0.99))
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, settings.steps)
        follower = Follower.of(self)
        looks = np.linspace(0, settings.steps, settings.looks + 1).round().astype(int)[1:].tolist()
        order: list[int] = []
        for done in range(1, settings.steps + 1):
            order = order or rng.permutation(len(self.batches)).tolist()
            optimizer.zero_grad()
            self.loss(self.batches[order.pop()], follower).backward()
            optimizer.step()
            schedule.step()
            self._keep(done)
            if done % settings.check == 0:
                follower.look(done / settings.steps)
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

    def loss(self, batch: Batch, follower: Follower) -> Tensor:
        """Return the weighted mean loss of a batch and what its gaps are charged."""
        tensors = self.tensors(self.steps)
        prediction, soft = self.soft(batch, batch.recorded, tensors)
        each = losses(self.case.subject.facts.loss, prediction, batch.classes.to(prediction.device))
        own = batch.counts.repeat_interleave(len(each) // len(batch.counts)).to(each)
        loss = (own * each).sum() / own.sum()
        return loss + follower.charge(batch, soft, tensors)

    def soft(
        self, batch: Batch, recorded: Recorded, tensors: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return a prediction and how positive each decision is, ``(n,)`` in [0, 1].

        Args:
            batch: the rows.
            recorded: what the tail reads of them, or of twins of them.
            tensors: the parameters.
        """
        prediction = self.tail.run(recorded, tensors)[: len(batch)]
        logits = self.reading.logits(prediction, batch.classes)
        margins = margin_of(logits, self.case.repair.positive)
        return prediction, torch.sigmoid(margins / self.scale)

    def tensors(self, steps: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the parameters with what is added to them."""
        own, masks = self.case.subject.tensors, self.case.masks
        return {
            name: own[name].detach() + (step * masks[name] if name in masks else step)
            for name, step in steps.items()
        }

    @torch.no_grad()
    def _keep(self, done: int) -> None:
        kept = min(self.settings.average, done / (done + 10))
        for name, step in self.steps.items():
            if self.case.bound is not None:
                step.clamp_(-self.case.bound, self.case.bound)
            self.mean[name].lerp_(step, 1 - kept)


def _balance(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return the weight of positive rows that the network seems to have been trained with."""
    said, true = (float(np.clip(x.mean(), 1e-3, 1 - 1e-3)) for x in (scores, labels))
    return said / (1 - said) / (true / (1 - true))
