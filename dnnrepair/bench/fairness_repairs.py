"""What fairness repairs reach on real tables, seed by seed, beside other methods."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import torch

from dnnrepair.bench.fairness_data import adult, compas, default, parts, scaled, trained
from dnnrepair.bench.result import Figure, Table
from dnnrepair.data import ArraySamples
from dnnrepair.debiasing.baselines import baselines
from dnnrepair.fairness.case import Case
from dnnrepair.fairness.choice import judged
from dnnrepair.fairness.cohort import Cohort, parted
from dnnrepair.fairness.fairea import fairea
from dnnrepair.fairness.repair import changeable, repaired
from dnnrepair.fairness.responses import Asking
from dnnrepair.fitness.disparity import OBJECTIVES, Disparity
from dnnrepair.subject import subject_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from dnnrepair.bench.fairness_data import People
    from dnnrepair.bench.result import BenchOptions
    from dnnrepair.fairness_report import BaselineResult

SEEDS, QUICK = 10, 1
_GOOD = ("good", "win-win")
_SPLIT = (2, 1)  # of the rows that do not judge: to repair, to select
_MOST_SECONDS = 30.0
_SETS: tuple[tuple[Callable[[Path], People], str], ...] = (  # who loads, and by what
    (adult, "sex"), (adult, "race"), (compas, "race"), (compas, "sex"), (default, "sex"),
)  # fmt: skip
_LESS = {("Adult", "sex"): 0.60, ("Adult", "race"): 0.40, ("Default", "sex"): 0.60}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One repair, on rows that judge.

    Attributes:
        data, attribute, objective: what was repaired.
        before, after: accuracy, F1 and gap; the same where nothing was accepted.
        select_gap: of the repair on the rows that select.
        region: of Fairea, "" where nothing was accepted.
        seconds: of wall clock, of the search.
        others: what other methods reach.
    """

    data: str
    attribute: str
    objective: str
    before: tuple[float, float, float]
    after: tuple[float, float, float]
    select_gap: float
    region: str
    seconds: float
    others: tuple[BaselineResult, ...]


def repair_rows(
    options: BenchOptions,
) -> tuple[tuple[Table, ...], tuple[Figure, ...], tuple[str, ...]]:
    """Return tables, required figures, and what was skipped."""
    if options.data_dir is None:
        return (), (), ("debias: it needs Adult, COMPAS and Default; name them with --data-dir",)
    seeds = range(options.seed, options.seed + (QUICK if options.quick else SEEDS))
    sets = [one for one in _SETS if not options.quick or one[0] is not compas]
    options.progress.stage("repairing", len(sets) * len(seeds))
    runs: list[Run] = []
    for load, attribute in sets:
        people = load(options.data_dir)
        for seed in seeds:
            every = [one for one in OBJECTIVES if one != "flip"]
            wanted = ("eodds",) if options.quick else every
            runs += _runs(people, attribute, seed, wanted)
            options.progress.advance(1)
    skipped = ["debias: flip needs the attribute among the inputs, where these networks lack it"]
    skipped += ["debias: one seed, equalized odds only, without COMPAS (--quick)"] * options.quick
    return (_table(runs), _others(runs)), tuple(_figures(runs)), tuple(skipped)


def _runs(people: People, attribute: str, seed: int, objectives: Sequence[str]) -> Iterator[Run]:
    train, valid, judge = parts(people, seed)
    inputs = scaled(people, train)
    network = trained(people, inputs, seed)
    labels = torch.from_numpy(people.labels)
    subject = subject_of(
        network, (inputs[train], labels[train]), task="classify", loss="bce_logits"
    )

    def cohort(places: np.ndarray, name: str) -> Cohort:
        samples = ArraySamples((inputs[places],), labels[places], people.name)
        groups = people.groups[attribute][places]
        return Cohort(
            name=name,
            samples=samples,
            groups=groups,
            levels=("0", "1"),
            positive=1,
            attribute=attribute,
        )

    own, test = cohort(np.concatenate([train, valid]), "data"), cohort(judge, "test")
    repair, select, _ = parted(own, seed, _SPLIT)
    for objective in objectives:
        case = Case(
            subject=subject,
            repair=repair,
            select=select,
            disparity=Disparity.named(objective),
            names=changeable(subject, "auto"),
            seed=seed,
        )
        yield _run(people.name, case, test)


def _run(data: str, case: Case, test: Cohort) -> Run:
    began = perf_counter()
    found = repaired(case)
    seconds = perf_counter() - began
    asking = Asking.of(case.subject, test, case.names)
    first = judged(test, case.disparity, None, asking.responses())
    second, region, gap = first, "", float("nan")
    if found.chosen is not None and found.chosen.candidate is not None:
        responses = asking.responses(found.chosen.candidate.tensors)
        second = judged(test, case.disparity, found.chosen.candidate, responses)
        gap = found.chosen.gap
        region = fairea(
            test,
            first.responses.predicted,
            responses.predicted,
            case.disparity,
            np.random.default_rng(case.seed),
        ).region
    return Run(
        data=data,
        attribute=test.attribute,
        objective=case.disparity.name,
        before=(first.accuracy, first.f1, first.gap),
        after=(second.accuracy, second.f1, second.gap),
        select_gap=gap,
        region=region,
        seconds=seconds,
        others=baselines(case, test)[0],
    )


def _groups(runs: Sequence[Run]) -> dict[tuple[str, str, str], list[Run]]:
    found: dict[tuple[str, str, str], list[Run]] = {}
    for run in runs:
        found.setdefault((run.data, run.attribute, run.objective), []).append(run)
    return found


def _table(runs: Sequence[Run]) -> Table:
    rows = []
    for key, some in _groups(runs).items():
        before, after = (np.mean([getattr(r, w) for r in some], 0) for w in ("before", "after"))
        better = sum(r.after[2] < r.before[2] for r in some)
        rows.append(
            (
                *key,
                f"{before[0]:.3f} -> {after[0]:.3f}",
                f"{before[1]:.3f} -> {after[1]:.3f}",
                f"{before[2]:.3f} -> {after[2]:.3f}",
                f"{_less(some):.0%}",
                f"{better}/{len(some)}",
                f"{np.nanmean([r.select_gap for r in some]):.3f}" if better else "-",
                f"{np.mean([r.seconds for r in some]):.1f}",
            )
        )
    columns = ("data", "by", "objective", "accuracy", "F1", "gap", "less", "better", "select", "s")
    return Table("Repairs on rows that nobody saw, means over seeds", columns, tuple(rows))


def _others(runs: Sequence[Run]) -> Table:
    rows = []
    for key, some in _groups(runs).items():
        for place, one in enumerate(some[0].others):
            same = [run.others[place] for run in some]
            values = (np.mean([getattr(o, w) for o in same]) for w in ("accuracy", "f1", "gap"))
            told = "yes" if one.uses_sensitive_at_inference else "no"
            rows.append((*key, one.id.replace("_", " "), *(f"{v:.3f}" for v in values), told))
    columns = ("data", "by", "objective", "method", "accuracy", "F1", "gap", "told the group")
    return Table("Other methods on the same rows, means over seeds", columns, tuple(rows))


def _less(runs: Sequence[Run]) -> float:
    """Return by which share the mean gap is lower."""
    before, after = (np.mean([getattr(r, w)[2] for r in runs]) for w in ("before", "after"))
    return float(1 - after / before)


def _figures(runs: Sequence[Run]) -> Iterator[Figure]:
    groups = _groups(runs)
    for (data, attribute), least in _LESS.items():
        some = groups.get((data, attribute, "eodds"), [])
        if some:
            less = _less(some)
            yield _figure(f"{data}-{attribute}: less equalized odds", least, less, at_least=True)
    some = groups.get(("Adult", "sex", "eodds"), [])
    if some:
        drops = [r.before[0] - r.after[0] for r in some]
        ratios = [r.after[1] / r.before[1] for r in some]
        better = float(np.mean([r.after[2] < r.before[2] for r in some]))
        yield _figure("Adult-sex: accuracy lost", 0.01, float(np.mean(drops)), at_least=False)
        yield _figure("Adult-sex: F1 kept", 0.98, float(np.mean(ratios)), at_least=True)
        yield _figure("Adult-sex: share of seeds better", 0.9, better, at_least=True)
    some = groups.get(("Adult", "race", "eodds"), [])
    if some:
        gap = float(np.nanmean([r.after[2] - r.select_gap for r in some]))
        yield _figure("Adult-race: gap judged less selected", 0.02, gap, at_least=False)
    regions = [r.region in _GOOD for r in runs if r.region]
    if regions:
        share = float(np.mean(regions))
        yield _figure("Fairea: good or win-win", 0.9, share, at_least=True)
    yield _figure(
        "seconds of a search", _MOST_SECONDS, max(r.seconds for r in runs), at_least=False
    )


def _figure(name: str, bound: float, value: float, *, at_least: bool) -> Figure:
    met = value >= bound if at_least else value <= bound
    return Figure(name, f"at {'least' if at_least else 'most'} {bound:g}", value, met)
