"""Search by differential evolution: values of a few weights, by the fairness fitness."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

import torch

from dnnrepair.bits import digest
from dnnrepair.evolve import Box, Checkpoint, Shade, Stopping, around, search
from dnnrepair.fairness.candidate import Candidate
from dnnrepair.fairness.responses import Asking, Reading
from dnnrepair.fitness.fairness import Fairness
from dnnrepair.population import Place, prepare

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from dnnrepair.fairness.case import Case


@dataclass(frozen=True, slots=True, kw_only=True)
class Evolution:
    """How to evolve.

    Attributes:
        candidates: in each population, at least 4.
        generations: at most.
        restarts: searches side by side, each with a seed of its own.
        spread: of the first population, as a share of the layer's standard deviation.
        reach: how far a weight may go, in standard deviations of its layer.
        softness: of decisions, as a share of the margins' original spread.
    """

    candidates: int = 40
    generations: int = 100
    restarts: int = 1
    spread: float = 0.2
    reach: float = 3.0
    softness: float = 0.25

    def proposed(
        self,
        case: Case,
        places: Sequence[Place],
        start: Mapping[str, Tensor] | None = None,
        name: str = "original weights",
    ) -> list[Candidate]:
        """Return the fittest weights of each restart.

        Args:
            case: what is to be made fair; the objective must compare groups.
            places: the weights to change.
            start: parameters to begin with in place of the network's own.
            name: of the start.

        Raises:
            SettingError: the objective compares no groups.
            CheckpointError: what is kept beside the patch is of another search.
        """
        subject = case.subject
        inside = torch.from_numpy(case.repair.groups >= 0).nonzero()[:, 0]
        cohort = case.repair.at(inside, case.repair.name)
        case = replace(case, repair=cohort)
        begun = dict(start or {})
        fitness = self._fitness(case)
        program = subject.running.with_tensors(begun)
        patched = replace(subject, program=program, tensors=program.tensors)
        evaluator = prepare(patched, places, cohort.samples, fitness)
        values = evaluator.originals.float()
        sizes = torch.stack([program.tensors[p.tensor].float().std() for p in places])
        sizes = sizes.nan_to_num(nan=0.0).clamp(min=0.05).to(values)
        reach = torch.full_like(values, case.bound) if case.bound else self.reach * sizes
        own = torch.stack([subject.tensors[p.tensor][p.index] for p in places]).to(values)
        center = own if case.bound else values
        checkpoint = self._checkpoint(case, places, begun)
        result = search(
            Shade(candidates=self.candidates),
            evaluator,
            Box(torch.minimum(center - reach, values), torch.maximum(center + reach, values)),
            [case.seed + 1 + place for place in range(self.restarts)],
            start=around(values, self.spread * sizes),
            stopping=Stopping(
                generations=self.generations, patience=max(10, self.generations // 4)
            ),
            checkpoint=checkpoint,
            progress=case.progress,
        )
        if checkpoint is not None:
            checkpoint.remove()
        return [
            Candidate(
                name=f"{name}, restart {place + 1}",
                method="evolution",
                tensors=case.storable({**begun, **evaluator.places.patched(program.tensors, best)}),
                settings={"candidates": self.candidates, "weights": len(places)},
            )
            for place, best in enumerate(result.best)
        ]

    def _fitness(self, case: Case) -> Fairness:
        cohort = case.repair
        before = Asking.of(case.subject, cohort).responses()
        return Fairness(
            groups=torch.from_numpy(cohort.groups).to(case.subject.device),
            labels=torch.from_numpy(cohort.labels).bool().to(case.subject.device),
            disparity=case.disparity,
            base=torch.from_numpy(cohort.table(before.predicted)).to(case.subject.device),
            limits=case.limits,
            positive=cohort.positive,
            scale=max(self.softness * float(before.margins.std()), 1e-6),
            logs=Reading.of(case.subject).logs,
        )

    def _checkpoint(
        self, case: Case, places: Sequence[Place], start: Mapping[str, Tensor]
    ) -> Checkpoint | None:
        if case.checkpoint is None:
            return None
        cohort = case.repair
        told = f"{self}{case.seed}{places}{case.subject.digest}{case.disparity}{case.limits}"
        data = {f"x{i}": x for i, x in enumerate(cohort.samples.inputs)}
        data |= {"y": torch.from_numpy(cohort.labels), "g": torch.from_numpy(cohort.groups)}
        decided = sha256(f"{told}{digest({**data, **start})}".encode()).hexdigest()[:16]
        name = f"{case.checkpoint.name}.{decided}.search"
        return Checkpoint(case.checkpoint.with_name(name), decided)


def places_of(case: Case) -> tuple[Place, ...]:
    """Return every number of the last tensors that may change: a weight and the bias beside it."""
    program = case.subject.running
    last = case.subject.infos[case.names[-1]].layer
    names = [name for name in case.names if case.subject.infos[name].layer == last]
    return tuple(
        Place(name, tuple(index))
        for name in names
        for index in torch.ones_like(program.tensors[name]).nonzero().tolist()
        if name not in case.masks or bool(case.masks[name][tuple(index)])
    )
