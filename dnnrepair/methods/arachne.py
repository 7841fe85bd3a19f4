"""Arachne: evolve new values for the weights most responsible."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import product
from typing import TYPE_CHECKING, ClassVar

import torch

from dnnrepair.bits import digest
from dnnrepair.errors import SettingError
from dnnrepair.evolve import Checkpoint, Rand1Bin, Stopping, arachne_box, arachne_normal, search
from dnnrepair.fitness import Arachne as ArachneFitness
from dnnrepair.fitness import Regression
from dnnrepair.fitness.fitness import SCALE
from dnnrepair.localize import Localizer, LocalizerSettings, contrast, localize
from dnnrepair.methods.method import Proposal, method, used
from dnnrepair.methods.reach import searched, searched_scope
from dnnrepair.observation import Task
from dnnrepair.population import prepare
from dnnrepair.progress import silent
from dnnrepair.settings import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dnnrepair.evolve import Result, State
    from dnnrepair.fitness import Fitness
    from dnnrepair.methods.method import Part, Problem
    from dnnrepair.population import Evaluator, Place
    from dnnrepair.subject import Subject


@method("arachne")
@dataclass(frozen=True, slots=True, kw_only=True)
class Arachne:
    """Differential evolution of the few weights that bidirectional localization suspects.

    ## What it does
    Weights that no other outdoes in gradient loss and forward impact get new values, evolved by
    rand/1/bin to maximize ``correct + alpha * fixed``, where an input that is still wrong counts
    ``1 / (1 + loss)``. Several alphas and restarts are searched at the same time.
    ## Why
    A patch of about ten numbers can be read, reviewed and taken back.
    ## Limits
    Few weights move whole classes: alpha 10, the published setting, fixes many inputs and breaks
    about as many of the class they are confused with. Early layers (``reach=all``) make each
    candidate cost nearly a run of the network.
    ## Source
    Sohn, Kang and Yoo, "Arachne: Search Based Repair of Deep Neural Networks" (TOSEM 2023).
    """

    name: ClassVar[str] = "arachne"
    alphas: tuple[float, ...] = (1.0, 2.0, 4.0, 6.0, 8.0, 10.0)  # weights of inputs to fix, above 0
    restarts: int = 1  # searches for each alpha, at least 1; the fittest counts
    candidates: int = 100  # in a population, at least 4
    generations: int = 100  # at most, after the first population
    localizer: str = "bidirectional"  # or "gradient" or "random"
    count: int | None = None  # of weights, at least 1; by default the whole Pareto front
    reach: str = "behind"  # the last convolution, recurrent or attention layer; "all" as published
    early: bool = True  # stop when nothing improved for more than a tenth of the generations
    keep_original: bool = True  # the present weights are in the first population; published: False

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            SettingError: if one is none of those known, or an alpha is not above 0.
        """
        _check_known("localizer", self.localizer, [str(one) for one in Localizer])
        _check_known("reach", self.reach, ("behind", "all"))
        if not all(alpha > 0 for alpha in self.alphas):
            message = f"an alpha is {min(self.alphas):g}; it is above 0"
            raise SettingError(message)

    def scope(self, subject: Subject, layers: Sequence[str]) -> tuple[str, ...]:
        """Return the kernels that it searches; see :class:`Method`."""
        return searched_scope(subject, layers, self.reach)

    def propose(self, problem: Problem) -> list[Proposal]:
        """Return the fittest change for each alpha; see :class:`Method`."""
        part = used(problem.search)
        problem.progress.stage("localizing", None)
        places = self._places(problem, part)
        problem.progress.stage("recording activations", None)
        fitness = self._fitness(problem, part)
        evaluator = prepare(problem.subject, places, part.samples, fitness)
        found = self._search(problem, part, evaluator, _all_right(fitness))
        return [self._proposal(problem, evaluator, found, i) for i in range(len(self.alphas))]

    def _places(self, problem: Problem, part: Part) -> tuple[Place, ...]:
        settings = LocalizerSettings(
            localizer=Localizer(self.localizer),
            count=self.count,
            layers=searched(problem.subject, problem.layers, self.reach),
            seed=problem.seed,
        )
        negatives, positives = contrast(part, problem.seed)
        return localize(problem.subject, negatives, positives, settings).places

    def _fitness(self, problem: Problem, part: Part) -> Fitness:
        """Return the fitness of all searches, those of one alpha side by side."""
        alphas = torch.tensor([alpha for alpha, _ in self._searches(problem)])
        weights = torch.where(part.targets, alphas[:, None], 1.0) * part.cost
        weights *= weights.shape[1] / weights.sum(1, keepdim=True)  # 1 on average
        if problem.subject.facts.task is Task.REGRESS:
            return Regression(weights, problem.tolerance)
        return ArachneFitness(weights)

    def _searches(self, problem: Problem) -> list[tuple[float, int]]:
        """Return alpha and seed of each search."""
        restarts = range(problem.seed + 1, problem.seed + 1 + self.restarts)
        return list(product(self.alphas, restarts))

    def _search(self, problem: Problem, part: Part, evaluator: Evaluator, target: float) -> Result:
        places = evaluator.places.sequence
        layers = list(dict.fromkeys(place.tensor for place in places))
        owner = torch.tensor([layers.index(place.tensor) for place in places])
        tensors = [problem.subject.tensors[name].detach().float() for name in layers]
        owner = owner.to(tensors[0].device)
        original = evaluator.originals.float() if self.keep_original else None
        checkpoint = self._checkpoint(problem, part, places)
        found = search(
            Rand1Bin(candidates=self.candidates),
            evaluator,
            arachne_box(tensors, owner),
            [seed for _, seed in self._searches(problem)],
            start=arachne_normal(tensors, owner, original=original),
            stopping=self._stopping(target),
            checkpoint=checkpoint,
            progress=problem.progress,
            on_generation=_telling(problem, part, evaluator),
        )
        if checkpoint is not None:
            checkpoint.remove()
        return found

    def _stopping(self, target: float) -> Stopping:
        if not self.early:
            return Stopping(generations=self.generations)
        return replace(Stopping.arachne(self.generations), target=target)

    def _checkpoint(
        self, problem: Problem, part: Part, places: Sequence[Place]
    ) -> Checkpoint | None:
        if problem.checkpoint is None:
            return None
        told = f"{self}{problem.seed}{places}{problem.subject.digest}{problem.tolerance}"
        data = {"targets": part.targets, "cost": part.cost}
        decided = sha256(f"{told}{digest(data)}{problem.data}".encode()).hexdigest()[:16]
        name = f"{problem.checkpoint.name}.{decided}.search"
        return Checkpoint(problem.checkpoint.with_name(name), decided)

    def _proposal(
        self, problem: Problem, evaluator: Evaluator, found: Result, place: int
    ) -> Proposal:
        """Return the fittest of the restarts of one alpha."""
        own = slice(place * self.restarts, (place + 1) * self.restarts)
        best = found.best[own][int(found.fitness[own].argmax())]
        alpha = self.alphas[place]
        return Proposal(
            name=f"alpha {alpha:g}",
            tensors=evaluator.places.patched(problem.subject.tensors, best),
            settings={"alpha": alpha, "candidates": self.candidates, "localizer": self.localizer},
        )


def _check_known(what: str, given: str, known: Sequence[str]) -> None:
    if given not in known:
        message = f"the {what} {given!r} is unknown; {nearest(given, known)}"
        raise SettingError(message)


def _all_right(fitness: Fitness) -> float:
    """Return the fitness with which nothing more can be won: that of all inputs right.

    Of several searches the least: they differ by rounding, which is less than any wrong input.
    """
    weights = fitness.weights[0].mul(SCALE).round_()
    return float(weights.sum(1, dtype=torch.float64).min()) / SCALE


def _telling(problem: Problem, part: Part, evaluator: Evaluator) -> Callable[[State], None] | None:
    """Return what tells what the fittest candidate of the last search does, if anybody listens."""
    if problem.progress is silent:
        return None
    targets, correct = part.targets.cpu(), part.correct.cpu()

    def tell(state: State) -> None:
        right = evaluator.verdicts(state.best[-1:])[0]
        fixed, broken = int((right & targets).sum()), int((correct & ~right).sum())
        share = float(state.best_fitness[-1]) / len(right)
        problem.progress.note(
            f"fixed {fixed} of {int(targets.sum())}, broken {broken}, fitness {share:.5f}"
        )

    return tell
