"""The baseline that a search has to beat: gradient descent on the same weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from dnnrepair.fixed_batch import filled
from dnnrepair.localize import Localizer, LocalizerSettings, contrast, localize
from dnnrepair.loss import losses
from dnnrepair.methods.method import Proposal, method, used
from dnnrepair.methods.reach import searched, searched_scope
from dnnrepair.population.places import Places
from dnnrepair.population.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from dnnrepair.methods.method import Part, Problem
    from dnnrepair.population.tail import Recorded
    from dnnrepair.subject import Subject

BATCH = 1024  # inputs at a time


@method("gradient")
@dataclass(frozen=True, slots=True, kw_only=True)
class Gradient:
    """Descends the gradient on the weights with the largest gradient loss, and on no others.

    ## What it does
    Trains as many weights as the user allows on the inputs to fix, weighed up, and on those that
    were right, by the network's own loss.
    ## Why
    The gradient is there for the asking; an evolution must earn its time against it.
    ## Limits
    Few weights, like Arachne's; any layer of any network that is differentiable.
    ## Source
    The gradient-loss baseline of Sohn, Kang and Yoo (TOSEM 2023), with descent for evolution.
    """

    name: ClassVar[str] = "gradient"
    weights: tuple[float, ...] = (0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0)  # of inputs to fix, above 0
    count: int = 100  # of weights that may change, at least 1
    steps: int = 60  # of Adam over all inputs for each weight, at least 1
    rate: float = 3e-3  # of Adam at the start; it falls in a line to 0
    reach: str = "behind"  # the last convolution, recurrent or attention layer; "all" for any

    def scope(self, subject: Subject, layers: Sequence[str]) -> tuple[str, ...]:
        """Return the kernels that it searches; see :class:`Method`."""
        return searched_scope(subject, layers, self.reach)

    def propose(self, problem: Problem) -> list[Proposal]:
        """Return one change for each weight, each found from the one before."""
        part = used(problem.search)
        course = _Course.of(problem, part, self._places(problem, part))
        problem.progress.stage("descending", self.steps * len(self.weights))
        values, found = course.originals, []
        for weight in self.weights:
            values = course.descend(values, weight, self.steps, self.rate)
            found.append(
                Proposal(
                    name=f"weight {weight:g}",
                    tensors=course.places.patched(problem.subject.tensors, values),
                    settings={"weight": weight, "count": self.count, "steps": self.steps},
                )
            )
        return found

    def _places(self, problem: Problem, part: Part) -> Places:
        settings = LocalizerSettings(
            localizer=Localizer.GRADIENT,
            count=self.count,
            layers=searched(problem.subject, problem.layers, self.reach),
            seed=problem.seed,
        )
        suspects = localize(problem.subject, *contrast(part, problem.seed), settings)
        return Places.of(problem.subject.running, suspects.places)


@dataclass(frozen=True, kw_only=True)
class _Course:
    """The loss as a function of a few weights.

    Attributes:
        problem: what is to be repaired.
        part: the inputs that count.
        places: the weights.
        originals: their present values, ``(k,)``.
        tail: what they can change.
        batches: what the tail reads of some inputs, and which inputs these are.
    """

    problem: Problem
    part: Part
    places: Places
    originals: Tensor
    tail: Tail
    batches: list[tuple[Recorded, slice]]

    @classmethod
    def of(cls, problem: Problem, part: Part, places: Places) -> _Course:
        program = problem.subject.running
        tail = Tail.of(program, places.tensors)
        batches = []
        for batch in part.samples.batches(program.batch_size or BATCH):
            inputs = filled(batch.inputs, program.batch_size, problem.subject.device)
            batches.append((tail.record(inputs), slice(batch.start, batch.start + len(batch))))
        return cls(
            problem=problem,
            part=part,
            places=places,
            originals=places.originals(program.tensors),
            tail=tail,
            batches=batches,
        )

    def descend(self, values: Tensor, weight: float, steps: int, rate: float) -> Tensor:
        """Return the values after some steps of Adam."""
        values = values.clone().requires_grad_()
        optimizer = torch.optim.Adam([values], rate)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
        counts = torch.where(self.part.targets, weight, 1.0) * self.part.cost
        for _ in range(steps):
            optimizer.zero_grad()
            for recorded, where in self.batches:
                self._loss(values, recorded, where, counts).backward()
            optimizer.step()
            schedule.step()
            self.problem.progress.advance(1)
        return values.detach()

    def _loss(self, values: Tensor, recorded: Recorded, where: slice, counts: Tensor) -> Tensor:
        size = where.stop - where.start
        prediction = self.tail.run(recorded, self._written(values))[:size]
        targets = self.part.samples.targets
        assert targets is not None  # of labeled data  # noqa: S101
        wanted = targets[where].to(prediction.device)
        facts = self.problem.subject.facts
        if facts.squashed:
            prediction = prediction.clamp(min=torch.finfo(prediction.dtype).tiny).log()
        each = losses(facts.loss, prediction, wanted)
        own = counts[where].to(each).repeat_interleave(len(each) // size)
        return (own * each).sum() / len(counts)

    def _written(self, values: Tensor) -> dict[str, Tensor]:
        """Return the tensors with the values in place, differentiably."""
        found = {}
        for name in self.places.tensors:
            flat, columns = self.places.columns(name)
            base = self.problem.subject.tensors[name].detach()
            index = torch.tensor(flat, device=base.device)
            own = values[list(columns)].to(base.dtype)
            found[name] = base.reshape(-1).scatter(0, index, own).view(base.shape)
        return found
