"""One fairness repair of the benchmark: train, search, choose, and judge on rows nobody saw."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter, process_time
from typing import TYPE_CHECKING

import numpy as np
import torch

from dnnrepair.bench.fairness_data import parts, scaled, trained, twins
from dnnrepair.bench.fairness_limit import least_gap
from dnnrepair.bench.fairness_record import NAN, Plan, Run
from dnnrepair.bench.journal import Journal
from dnnrepair.data import ArraySamples
from dnnrepair.debiasing.baselines import baselines
from dnnrepair.fairness.case import Case
from dnnrepair.fairness.cohort import Cohort
from dnnrepair.fairness.fairea import fairea
from dnnrepair.fairness.hearing import Hearing
from dnnrepair.fairness.repair import changeable, repaired
from dnnrepair.fitness.disparity import Disparity
from dnnrepair.subject import subject_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

    from dnnrepair.bench.fairness_data import People
    from dnnrepair.fairness.repair import Repaired
    from dnnrepair.subject import Subject

_DRAWS = 2000
_FIRST = "0.weight"  # of the networks of the benchmark: what reads the inputs


def carried_out(people: People, plans: Iterable[Plan], folder: Path | None) -> Iterator[Run]:
    """Carry out plans for one table and one seed, each at most once.

    Args:
        people: the table; its network is trained when the first run is not there yet.
        plans: what to do.
        folder: in which finished runs are kept and found; None to keep none.
    """
    journal, prepared = Journal(folder, Run), None
    for plan in plans:
        run = journal.known((plan,))
        if run is None:
            prepared = prepared or _Prepared.of(people, plan.seed)
            run = _run(prepared, plan)
            journal.keep((plan,), run)
        yield run


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Prepared:
    """A trained network and its inputs."""

    people: People
    inputs: Tensor
    subject: Subject
    places: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, people: People, seed: int) -> _Prepared:
        train, valid, judge = parts(people, seed)
        inputs = scaled(people, train)
        network = trained(people, inputs, seed)
        given = (inputs[train], torch.from_numpy(people.labels)[train])
        subject = subject_of(network, given, task="classify", loss="bce_logits")
        places = {"repair": train, "select": valid, "test": judge}
        return cls(people=people, inputs=inputs, subject=subject, places=places)

    def cohort(self, part: str, plan: Plan) -> Cohort:
        people, places = self.people, self.places[part]
        labels = torch.from_numpy(people.labels)[places]
        others: tuple[ArraySamples, ...] = ()
        if plan.objective == "flip":
            others = tuple(
                ArraySamples((one[places],), labels, people.name)
                for one in twins(people, plan.attribute, self.inputs)
            )
        return Cohort(
            name=part,
            samples=ArraySamples((self.inputs[places],), labels, people.name),
            groups=people.groups[plan.attribute][places],
            levels=("0", "1"),
            positive=1,
            attribute=plan.attribute,
            twins=others,
        )


def _run(prepared: _Prepared, plan: Plan) -> Run:
    case = Case(
        subject=prepared.subject,
        repair=prepared.cohort("repair", plan),
        select=prepared.cohort("select", plan),
        disparity=Disparity.named(plan.objective),
        names=changeable(prepared.subject, "auto"),
        seed=plan.seed,
    )
    test = prepared.cohort("test", plan)
    wall, cpu = perf_counter(), process_time()
    found = repaired(case)
    wall, cpu = perf_counter() - wall, process_time() - cpu
    hearing, tensors = Hearing.of(case, test), _tensors(found)
    first = second = hearing.judged(None)
    if found.chosen is not None:
        second = hearing.judged(found.chosen.candidate)
    region = ""
    if tensors is not None and case.disparity.rates:
        old, new = (one.responses.predicted for one in (first, second))
        rng = np.random.default_rng(case.seed)
        region = fairea(test, old, new, case.disparity, rng).region
    return Run(
        plan=plan,
        before=(first.accuracy, first.f1, first.gap),
        after=(second.accuracy, second.f1, second.gap),
        select_gap=found.chosen.gap if found.chosen is not None else NAN,
        region=region,
        limit=least_gap(
            first.responses.margins, test.labels, test.groups, case.disparity, case.limits
        ),
        floor=by_chance(second.table, case.disparity, np.random.default_rng(case.seed)),
        own_inputs=_own_inputs(case, tensors, prepared.people.blocks[plan.attribute]),
        seconds=wall,
        cpu=cpu,
        others=baselines(case, test)[0],
        reason=found.reason,
    )


def by_chance(table: np.ndarray, disparity: Disparity, rng: np.random.Generator) -> float:
    """Return the mean gap of equal groups: decisions drawn with the rates of all together.

    Args:
        table: counts by group, label and decision, ``(G, 2, 2)``.
        disparity: the objective.
        rng: draws.
    """
    if not disparity.rates:
        return NAN
    together = table.sum(0)
    shares = together[:, 1] / together.sum(-1)
    cells = table.sum(-1).astype(np.int64)
    drawn = rng.binomial(cells, shares, (_DRAWS, *cells.shape)).astype(np.float64)
    tables = torch.from_numpy(np.stack([cells - drawn, drawn], -1))
    return float(disparity.gap(tables).mean())


def _tensors(found: Repaired) -> Mapping[str, Tensor] | None:
    chosen = found.chosen
    return chosen.candidate.tensors if chosen is not None and chosen.candidate else None


def _own_inputs(case: Case, tensors: Mapping[str, Tensor] | None, block: tuple[int, ...]) -> float:
    """Return which share of a patch's squared size lies in weights that read the attribute."""
    if tensors is None:
        return NAN
    steps = {name: value - case.subject.tensors[name] for name, value in tensors.items()}
    whole = sum(float(step.square().sum()) for step in steps.values())
    return float(steps[_FIRST][:, list(block)].square().sum()) / whole if block else 0.0
