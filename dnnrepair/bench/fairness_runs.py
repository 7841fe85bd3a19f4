"""One fairness repair of the benchmark: train, search, choose, and judge on rows nobody saw."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dnnrepair import __version__
from dnnrepair.bench.fairness_data import parts, scaled, trained, twins
from dnnrepair.bench.fairness_limit import least_gap
from dnnrepair.data import ArraySamples
from dnnrepair.debiasing.baselines import baselines
from dnnrepair.fairness.case import Case
from dnnrepair.fairness.choice import judged
from dnnrepair.fairness.cohort import Cohort
from dnnrepair.fairness.descent import Descent
from dnnrepair.fairness.fairea import fairea
from dnnrepair.fairness.repair import changeable, repaired
from dnnrepair.fairness.responses import Asking
from dnnrepair.fairness.trial import flips_of
from dnnrepair.fairness_report import BaselineResult
from dnnrepair.files import write_whole
from dnnrepair.fitness.disparity import Disparity
from dnnrepair.subject import subject_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

    from dnnrepair.bench.fairness_data import People
    from dnnrepair.fairness.choice import Judged
    from dnnrepair.fairness.repair import Repaired
    from dnnrepair.subject import Subject

NAN = float("nan")
_FIRST = "0.weight"  # of the networks of the benchmark: what reads the inputs


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Plan:
    """One repair to be carried out.

    Attributes:
        data: name of the table.
        attribute: that groups people.
        told: the attributes are among the network's inputs.
        objective: what is made small.
        seed: of split, training and search.
    """

    data: str
    attribute: str
    told: bool
    objective: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a repair reached on rows that judge.

    Attributes:
        plan: what was repaired.
        before: accuracy, F1 and gap of the untouched network.
        after: those of the repaired one; the same where nothing was accepted.
        select_gap: of the repair on the rows that select, NaN where nothing was accepted.
        region: of Fairea, "" where nothing was accepted or groups are not compared.
        limit: the least gap that any rule on the network's scores could reach on these rows.
        own_inputs: share of the patch's squared size that lies in weights which read the attribute.
        seconds: of wall clock, of the search.
        cpu: seconds of CPU, of the search.
        others: what other methods reach.
        reason: why this candidate, or why none.
    """

    plan: Plan
    before: tuple[float, float, float]
    after: tuple[float, float, float]
    select_gap: float
    region: str
    limit: float
    own_inputs: float
    seconds: float
    cpu: float
    others: tuple[BaselineResult, ...]
    reason: str

    @property
    def accepted(self) -> bool:
        """Whether a patch was taken."""
        return not np.isnan(self.select_gap)


def carried_out(people: People, plans: Iterable[Plan], folder: Path | None) -> Iterator[Run]:
    """Carry out plans for one table and one seed, each at most once.

    Args:
        people: the table; its network is trained when the first run is not there yet.
        plans: what to do.
        folder: in which finished runs are kept and found; None to keep none.
    """
    prepared: _Prepared | None = None
    for plan in plans:
        path = folder / f"{_name(plan)}.json" if folder is not None else None
        if path is not None and path.is_file():
            yield _read(path)
            continue
        prepared = prepared or _Prepared.of(people, plan.seed)
        run = _run(prepared, plan)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps(asdict(run)) + "\n")
        yield run


def _name(plan: Plan) -> str:
    """Return a name that changes with whatever the run depends on."""
    told = f"{plan}{Descent()}{__version__}"
    return f"{plan.data}-{plan.attribute}-{plan.objective}-{plan.seed}-{_digest(told)}"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12]


def _read(path: Path) -> Run:
    plain: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    plain["plan"] = Plan(**plain["plan"])
    plain["others"] = tuple(BaselineResult(**one) for one in plain["others"])
    for name in ("before", "after"):
        plain[name] = tuple(plain[name])
    return Run(**{field.name: plain[field.name] for field in fields(Run)})


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
    asking = Asking.of(case.subject, test, case.names)

    def look(tensors: Mapping[str, Tensor] | None) -> Judged:
        flips = NAN if case.disparity.rates else flips_of(case.subject, test, tensors)
        return judged(test, case.disparity, None, asking.responses(tensors), flips)

    first = look(None)
    tensors = _tensors(found)
    second = look(tensors) if tensors is not None else first
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
        own_inputs=_own_inputs(case, tensors, prepared.people.blocks[plan.attribute]),
        seconds=wall,
        cpu=cpu,
        others=baselines(case, test)[0],
        reason=found.reason,
    )


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
