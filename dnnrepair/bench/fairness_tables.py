"""Tables and required figures of the benchmark's fairness repairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dnnrepair.bench.result import Figure, Table
from dnnrepair.fitness.fairness import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dnnrepair.bench.fairness_record import Run
    from dnnrepair.fairness_report import BaselineResult

GOOD = ("good", "win-win")
MOST_SECONDS = 30.0
_LESS = {("Adult", "sex"): 0.60, ("Adult", "race"): 0.40, ("Default", "sex"): 0.60}
_DRAWS = 2000  # of seeds, for intervals of means
_FEWEST = 3  # seeds that an interval needs
_NAMES = {True: "with attribute", False: "without"}

Key = tuple[str, str, bool, str]


def tables(runs: Sequence[Run]) -> tuple[Table, ...]:
    """Return what was reached, and what other methods reach."""
    return (_reached(runs), _others(runs))


def required(runs: Sequence[Run]) -> Iterator[Figure]:
    """Yield the required figures, all of equalized odds and networks that read all columns."""
    groups = {key: some for key, some in _groups(runs).items() if key[2:] == (True, "eodds")}
    for (data, attribute), least in _LESS.items():
        some = groups.get((data, attribute, True, "eodds"), [])
        if some:
            name = f"{data}-{attribute}: less equalized odds"
            yield _figure(name, least, _less(some), at_least=True)
    some = groups.get(("Adult", "sex", True, "eodds"), [])
    if some:
        lost = float(np.mean([r.before[0] - r.after[0] for r in some]))
        kept = float(np.mean([r.after[1] / r.before[1] for r in some]))
        better = float(np.mean([r.after[2] < r.before[2] for r in some]))
        yield _figure("Adult-sex: accuracy lost", 0.01, lost, at_least=False)
        yield _figure("Adult-sex: F1 kept", 0.98, kept, at_least=True)
        yield _figure("Adult-sex: share of seeds better", 0.9, better, at_least=True)
    some = groups.get(("Adult", "race", True, "eodds"), [])
    gaps = [r.after[2] - r.select_gap for r in some if r.accepted]
    if gaps:
        yield _figure(
            "Adult-race: gap judged less selected", 0.02, float(np.mean(gaps)), at_least=False
        )
    every = [run for some in groups.values() for run in some]
    if every:
        share = float(np.mean([r.region in GOOD for r in every]))
        yield _figure("Fairea: good or win-win", 0.9, share, at_least=True)
        slowest = max(r.cpu for r in every)
        yield _figure("CPU seconds of a search, the slowest", MOST_SECONDS, slowest, at_least=False)


def _groups(runs: Sequence[Run]) -> dict[Key, list[Run]]:
    found: dict[Key, list[Run]] = {}
    for run in runs:
        plan = run.plan
        key = (plan.data, plan.attribute, plan.told, plan.objective)
        found.setdefault(key, []).append(run)
    return found


def _reached(runs: Sequence[Run]) -> Table:
    rows = []
    for key, some in _groups(runs).items():
        before, after = (np.mean([getattr(r, w) for r in some], 0) for w in ("before", "after"))
        taken = [r for r in some if r.accepted]
        compared = [r for r in some if r.plan.objective != "flip"]
        rows.append(
            (
                *_shown(key),
                str(len(some)),
                f"{before[0]:.3f} -> {after[0]:.3f}",
                f"{before[1]:.3f} -> {after[1]:.3f}",
                f"{before[2]:.3f} -> {after[2]:.3f}",
                _interval(some),
                f"{sum(r.after[2] < r.before[2] for r in some)}/{len(some)}",
                f"{np.mean([r.select_gap for r in taken]):.3f}" if taken else "-",
                _mean([r.limit for r in some]),
                _mean([r.floor for r in some]),
                f"{sum(r.region in GOOD for r in some)}/{len(some)}" if compared else "-",
                _mean([r.own_inputs for r in taken]),
                f"{np.mean([r.cpu for r in some]):.0f}",
            )
        )
    columns = (
        *("data", "by", "inputs", "objective", "seeds", "accuracy", "F1", "gap", "less"),
        *("better", "gap selected", "limit", "chance", "Fairea good", "own inputs", "CPU s"),
    )
    title = (
        "Repairs on rows that nobody saw, means over seeds (less: share of the mean gap, 95 % "
        "interval over seeds; limit: least gap of any rule on the network's scores that is told "
        "the group, draws lots, keeps the same limits and is fitted to these very rows; "
        "chance: mean gap on these rows of a network that is fair; own inputs: share of the "
        "patch in weights that read the attribute)"
    )
    return Table(title, columns, tuple(rows))


def _others(runs: Sequence[Run]) -> Table:
    rows = []
    for key, some in _groups(runs).items():
        names = list(dict.fromkeys(one.id for run in some for one in run.others))
        for name in names:
            pairs = [(run, one) for run in some for one in run.others if one.id == name]
            same = [one for _, one in pairs]
            values = (np.mean([getattr(o, w) for o in same]) for w in ("accuracy", "f1", "gap"))
            held = sum(_held(run, one) for run, one in pairs)
            told = "yes" if same[0].uses_sensitive_at_inference else "no"
            numbers = (f"{v:.3f}" for v in values)
            rows.append(
                (*_shown(key), name.replace("_", " "), *numbers, f"{held}/{len(same)}", told)
            )
    columns = ("data", "by", "inputs", "objective", "method", "accuracy", "F1", "gap",
               "limits kept", "told the group")  # fmt: skip
    title = "Other methods on the same rows, means over seeds (limits: those of the repairs)"
    return Table(title, columns, tuple(rows))


def _held(run: Run, one: BaselineResult) -> bool:
    limits = Limits()
    enough = one.accuracy >= run.before[0] - limits.max_acc_drop - 1e-12
    return enough and one.f1 >= limits.min_f1_ratio * run.before[1] - 1e-12


def _shown(key: Key) -> tuple[str, str, str, str]:
    data, attribute, told, objective = key
    return data, attribute, _NAMES[told], objective


def _mean(values: Sequence[float]) -> str:
    known = [value for value in values if not np.isnan(value)]
    return f"{np.mean(known):.3f}" if known else "-"


def _less(runs: Sequence[Run]) -> float:
    """Return by which share the mean gap is lower."""
    before, after = (np.mean([getattr(r, w)[2] for r in runs]) for w in ("before", "after"))
    return float(1 - after / before)


def _interval(runs: Sequence[Run]) -> str:
    """Return that share with an interval from resampled seeds."""
    if len(runs) < _FEWEST:
        return f"{_less(runs):.0%}"
    rng = np.random.default_rng(0)
    gaps = np.array([(run.before[2], run.after[2]) for run in runs])
    drawn = gaps[rng.integers(0, len(gaps), (_DRAWS, len(gaps)))].mean(1)
    low, high = np.quantile(1 - drawn[:, 1] / drawn[:, 0], [0.025, 0.975])
    return f"{_less(runs):.0%} [{low:.0%}, {high:.0%}]"


def _figure(name: str, bound: float, value: float, *, at_least: bool) -> Figure:
    met = value >= bound if at_least else value <= bound
    return Figure(name, f"at {'least' if at_least else 'most'} {bound:g}", value, met)
