"""One network and number of inputs: the evaluator, its rivals and the core's limit in one race."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import process_time
from typing import TYPE_CHECKING

import torch

from dnnrepair.bench import loops
from dnnrepair.bench.limit import abilities, work_of
from dnnrepair.bench.searches import searching
from dnnrepair.bench.timing import Entrant, affordable, race
from dnnrepair.bench.workloads import prepare as make_workload
from dnnrepair.fitness import Arachne
from dnnrepair.population import prepare
from dnnrepair.subject import subject_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from dnnrepair.bench.loops import Answer, Loop
    from dnnrepair.bench.recipes import Recipe
    from dnnrepair.bench.timing import Effort
    from dnnrepair.bench.workloads import Workload
    from dnnrepair.population import Evaluator, EvaluatorSettings

NAIVE, CACHED, VMAP, OURS, SEARCH = "naive", "cached prefix", "vmap", "ours", "search"
BLOCKED = ", blocked"
CHECKED = 3  # candidates, at least, on which the evaluator is compared with the naive loop
_ONE_BATCH = 10_000  # more inputs than this do not fit in memory in one batch
_KEPT = 2e9  # bytes that a loop may keep of a prefix


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What was measured for one network, N and P.

    Attributes:
        workload: its name.
        samples: N.
        candidates: P.
        timed: how many candidates a call of the evaluator had, fewer than P where it is slow.
        rates: candidates per CPU second by contestant; those that could not run are missing, as
            are searches where a call cannot have all P.
        limit: candidates per second that the core would allow.
        difference: largest relative difference of fitness from the naive loop.
        verdicts: how many verdicts differ from the naive loop's.
        checked: how many candidates were compared.
        prepared: seconds of CPU that the evaluator spends before the first candidate.
    """

    workload: str
    samples: int
    candidates: int
    timed: int
    rates: Mapping[str, float]
    limit: float
    difference: float
    verdicts: int
    checked: int
    prepared: float

    def ratio(self, rival: str) -> float | None:
        """Return how many times faster the evaluator is, None where the rival did not run."""
        rate = self.rates.get(rival)
        return self.rates[OURS] / rate if rate else None

    @property
    def share(self) -> float | None:
        """What a whole search reaches of the evaluator's rate, None where none was run."""
        rate = self.rates.get(SEARCH)
        return rate / self.rates[OURS] if rate else None

    @property
    def label(self) -> str:
        """What was evaluated, in words."""
        return f"{self.workload}, N = {self.samples:,}, P = {self.candidates}"

    @property
    def fraction(self) -> float:
        """The evaluator's rate over the limit."""
        return self.rates[OURS] / self.limit


@dataclass(slots=True)
class Turns:
    """Has a slow loop evaluate one candidate after another, and keeps the answers.

    Attributes:
        loop: what evaluates.
        values: of the candidates, ``(P, k)``.
        answers: so far, of the first candidates.
    """

    loop: Loop
    values: Tensor
    answers: list[Answer] = field(default_factory=list)

    def __call__(self) -> float:
        """Evaluate the next candidate."""
        place = len(self.answers) % len(self.values)
        self.answers.append(self.loop(self.values[place : place + 1]))
        return 1.0


def measure(
    recipe: Recipe, samples: int, sizes: Sequence[int], effort: Effort, seed: int
) -> list[Row]:
    """Return a row for each size P of the population."""
    workload = make_workload(recipe, samples, seed)
    values = workload.candidates(max(sizes), seed + 1)
    begin = process_time()
    evaluator = prepared(workload)
    spent = process_time() - begin
    most = affordable(lambda count: evaluator(values[:count]), max(sizes), effort.call)
    timed = {size: min(size, most) for size in sizes}
    rivals = _rivals(workload, values, (None, loops.BLOCK) if effort.all_rivals else (None,))
    entrants = [Entrant(name, turns) for name, turns in rivals.items()]
    entrants += [_ours(evaluator, values[:count]) for count in dict.fromkeys(timed.values())]
    entrants += [
        searching(f"{SEARCH} {size}", workload, evaluator, values[:size])
        for size, count in timed.items()
        if size == count
    ]
    if effort.all_rivals and not workload.recipe.no_vmap and samples <= _ONE_BATCH:
        chunks = (min(loops.vmap_chunk(workload), size) for size in sizes)
        entrants += [_vmap(workload, values[:chunk]) for chunk in dict.fromkeys(chunks)]
    rates = race([*entrants, *abilities()], effort)
    oracle = next(turns for name, turns in rivals.items() if name.startswith(NAIVE))
    difference, verdicts = disagreement(evaluator, oracle)
    return [
        Row(
            workload=recipe.name,
            samples=samples,
            candidates=size,
            timed=timed[size],
            rates={name: rates[key] for name, key in _columns(size, timed[size], rates).items()},
            limit=work_of(workload).limit(samples, size, rates),
            difference=difference,
            verdicts=verdicts,
            checked=min(len(oracle.answers), len(values)),
            prepared=spent,
        )
        for size in sizes
    ]


def prepared(workload: Workload, settings: EvaluatorSettings | None = None) -> Evaluator:
    """Return the evaluator of a workload."""
    subject = subject_of(
        workload.module, (workload.inputs, workload.labels), task="classify", loss="cross_entropy"
    )
    assert subject.samples is not None  # the workload's own  # noqa: S101
    fitness = Arachne(workload.weights)
    return prepare(subject, workload.places, subject.samples, fitness, settings)


def disagreement(evaluator: Evaluator, oracle: Turns) -> tuple[float, int]:
    """Return the largest relative difference of fitness and how many verdicts differ."""
    answers = oracle.answers[: len(oracle.values)]
    values = oracle.values[: len(answers)]
    fitness = torch.cat([answer.fitness for answer in answers])
    verdicts = torch.cat([answer.verdicts for answer in answers])
    differing = int((evaluator.verdicts(values) != verdicts).sum())
    return relative_difference(evaluator(values), fitness), differing


def relative_difference(found: Tensor, wanted: Tensor) -> float:
    """Return the largest relative difference."""
    return float(((found - wanted) / wanted).abs().max())


def _rivals(workload: Workload, values: Tensor, blocks: Sequence[int | None]) -> dict[str, Turns]:
    """Return the loops that take one candidate at a time, and so many inputs (None for all)."""
    with torch.no_grad():
        kept = workload.recipe.split.before(workload.module, workload.inputs[:1])
    size = 4 * len(workload.inputs) * sum(value.numel() for value in kept)
    found = {}
    for block in blocks:
        suffix = BLOCKED if block else ""
        if block is None and len(workload.inputs) > _ONE_BATCH:
            continue
        found[NAIVE + suffix] = Turns(loops.naive(workload, block), values)
        if size <= _KEPT:
            found[CACHED + suffix] = Turns(loops.cached_prefix(workload, block), values)
    return found


def _ours(evaluator: Evaluator, values: Tensor) -> Entrant:
    def work() -> float:
        evaluator(values)
        return len(values)

    return Entrant(f"{OURS} {len(values)}", work)


def _vmap(workload: Workload, values: Tensor) -> Entrant:
    loop = loops.vmap(workload, len(values))

    def work() -> float:
        loop(values)
        return len(values)

    return Entrant(f"{VMAP} {len(values)}", work, least=-(-CHECKED // len(values)))


def _columns(size: int, timed: int, rates: Mapping[str, float]) -> dict[str, str]:
    """Return which entrant gives which contestant's rate in the row of ``size`` candidates."""
    plain = {name: name for name in rates if name.startswith((NAIVE, CACHED))}
    chunks = [int(name.split()[1]) for name in rates if name.startswith(f"{VMAP} ")]
    fitting = [chunk for chunk in chunks if chunk <= size]
    together = {VMAP: f"{VMAP} {max(fitting)}"} if fitting else {}
    whole = f"{SEARCH} {size}"
    searched = {SEARCH: whole} if whole in rates else {}
    return {**plain, **together, **searched, OURS: f"{OURS} {timed}"}
