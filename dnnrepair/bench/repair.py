"""How many networks that training made faulty the whole repair mends, and how many chance does.

Repaired means: the leading finding is gone on the test data, no error is left there, and the
accuracy is within 2 points of a healthy twin's or 10 points above the faulty network's. AutoTrainer
reports 97.33 % of its own 262 faulty models (Zhang et al., ICSE 2021, arXiv:2002.04562).

Chance draws from the same treatments, without looking at findings, until it has made at least as
many attempts as the repair and trained for at least as many epochs; it keeps what lowers the loss
on the same selection part and brings no new error.
"""

from __future__ import annotations

import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from statistics import stdev
from typing import TYPE_CHECKING

from scipy.stats import t as student

from dnnrepair.bench.faulty import TRAININGS
from dnnrepair.bench.journal import Journal
from dnnrepair.bench.repair_runs import DIGITS, FASHION, Run, RunResult, carried_out
from dnnrepair.bench.result import BenchResult, Figure, Table
from dnnrepair.rate import Rate
from dnnrepair.verify import paired_gain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from dnnrepair.bench.result import BenchOptions

REPAIRED = 0.95  # share of the runs
RUNS = 60  # at least
_QUICK = ("mlp", "mlp-deep", "mlp-deep-sigmoid", "mlp-tanh", "cnn-bn")


def run(options: BenchOptions) -> BenchResult:
    """Repair all of them, and as many times at random."""
    runs, skipped = planned(options)
    options.progress.stage("repairing faulty networks", len(runs))
    results = []
    for result in _carried_out(runs, options):
        results.append(result)
        options.progress.advance(1)
    options.progress.finish()
    return summarized(results, skipped, quick=options.quick)


def planned(options: BenchOptions) -> tuple[list[Run], tuple[str, ...]]:
    """Return the runs, and what is left out with the reason."""
    found = [
        Run(data=data, training=place, network=network, seed=options.seed, folder=options.data_dir)
        for data in (DIGITS, FASHION)
        for place, training in enumerate(TRAININGS)
        for network in training.networks
    ]
    found = [replace(one, number=number) for number, one in enumerate(found)]
    if options.quick:
        small = [one for one in found if one.data == DIGITS and one.network in _QUICK]
        first = {TRAININGS[one.training].fault: one for one in reversed(small)}
        return list(first.values()), ("all but one network of each fault: --quick",)
    if options.data_dir is None:
        kept = [one for one in found if one.data == DIGITS]
        return kept, ("Fashion-MNIST: name the folder of the data sets with --data-dir",)
    return found, ()


def _carried_out(runs: Sequence[Run], options: BenchOptions) -> Iterator[RunResult]:
    one = partial(_finished, options.cache)
    if options.workers == 1:
        yield from map(one, runs)
        return
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(one, runs)


def _finished(cache: Path | None, run: Run) -> RunResult:
    """Return the result of an earlier run of this benchmark, else carry it out."""
    key = (run.data, run.training, run.network, run.seed, run.number)
    return Journal(cache, RunResult).get(key, partial(carried_out, run))


def summarized(
    results: Sequence[RunResult], skipped: tuple[str, ...], *, quick: bool = False
) -> BenchResult:
    """Return the tables and required figures of some runs."""
    tables = (_overview(results), _by_fault(results), _each(results))
    return BenchResult("repair", tables, _figures(results, quick=quick), skipped)


def _figures(results: Sequence[RunResult], *, quick: bool) -> tuple[Figure, ...]:
    count = len(results)
    share = Rate(sum(one.treated.repaired for one in results), count)
    low = _advantage(results)[1]
    enough = None if quick or count < RUNS else True
    return (
        Figure("runs", f"at least {RUNS}", float(count), enough),
        Figure("share repaired", f"at least {REPAIRED}", share.value, share.value >= REPAIRED),
        Figure(
            "repaired more often than at random, lower end of the paired 95 % interval",
            "above 0",
            low,
            None if quick else low > 0,
        ),
    )


def _advantage(results: Sequence[RunResult]) -> tuple[float, float, float]:
    """Return how much more often it repairs than chance, with the paired 95 % interval."""
    pairs = [(one.treated.repaired, one.random.repaired) for one in results]
    gain = paired_gain(
        pairs.count((True, False)),
        pairs.count((False, True)),
        pairs.count((True, True)),
        len(pairs),
    )
    return gain.value, gain.low, gain.high


def _overview(results: Sequence[RunResult]) -> Table:
    count = len(results)
    value, low, high = _advantage(results)
    mine = Rate(sum(one.treated.repaired for one in results), count)
    chance = Rate(sum(one.random.repaired for one in results), count)
    gains = [one.treated.accuracy - one.faulty for one in results]
    others = [one.random.accuracy - one.faulty for one in results]
    ahead = [mine - theirs for mine, theirs in zip(gains, others, strict=True)]
    rows = (
        ("runs", str(count)),
        ("repaired", _with_interval(mine)),
        ("repaired by treatments at random", _with_interval(chance)),
        ("difference, paired", _points(value, low, high)),
        ("mean gain of accuracy", _points(*mean_interval(gains))),
        ("mean gain of accuracy at random", _points(*mean_interval(others))),
        ("difference, paired", _points(*mean_interval(ahead))),
        ("runs that lost accuracy", str(sum(gain < 0 for gain in gains))),
        ("runs that lost accuracy at random", str(sum(gain < 0 for gain in others))),
        ("mean accuracy, faulty", f"{100 * _mean([one.faulty for one in results]):.1f} %"),
        ("mean accuracy, repaired", f"{100 * _mean([o.treated.accuracy for o in results]):.1f} %"),
        ("mean accuracy, healthy twins", f"{100 * _mean([one.twin for one in results]):.1f} %"),
        ("mean attempts", _each_mean(results, "attempts")),
        ("mean epochs of training", _each_mean(results, "epochs")),
        ("mean processor time of a repair", f"{_mean([one.seconds for one in results]):.1f} s"),
    )
    return Table("Networks that training made faulty", ("", "measured (95 % interval)"), rows)


def _by_fault(results: Sequence[RunResult]) -> Table:
    rows = []
    for fault in dict.fromkeys(training.fault for training in TRAININGS):
        own = [one for one in results if TRAININGS[one.run.training].fault == fault]
        if not own:
            continue
        rows.append(
            (
                fault,
                f"{sum(one.treated.repaired for one in own)}/{len(own)}",
                f"{sum(one.random.repaired for one in own)}/{len(own)}",
                *(
                    f"{100 * _mean(values):.1f}"
                    for values in (
                        [one.faulty for one in own],
                        [one.treated.accuracy for one in own],
                        [one.twin for one in own],
                    )
                ),
                f"{_mean([one.seconds for one in own]):.1f}",
            )
        )
    columns = ("fault", "repaired", "at random", "faulty %", "repaired %", "twin %", "CPU s")
    return Table("Each fault", columns, tuple(rows))


def _each(results: Sequence[RunResult]) -> Table:
    rows = tuple(
        (
            one.run.data,
            f"{TRAININGS[one.run.training].fault}: {TRAININGS[one.run.training].name}",
            one.run.network,
            one.code or "-",
            f"{100 * one.faulty:.1f}",
            f"{100 * one.treated.accuracy:.1f}",
            f"{100 * one.random.accuracy:.1f}",
            f"{100 * one.twin:.1f}",
            "yes" if one.treated.repaired else "NO" if one.treated.gone else "NO, not gone",
            "; ".join(one.treated.done) or "-",
        )
        for one in results
    )
    columns = (
        *("data", "fault", "network", "finding", "faulty %", "repaired %", "random %", "twin %"),
        *("repaired", "kept"),
    )
    return Table("Each run", columns, rows)


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean with its 95 % interval by Student's t, NaN bounds for fewer than 2 values."""
    count, mean = len(values), _mean(values)
    if count < 2:  # noqa: PLR2004
        return mean, math.nan, math.nan
    half = float(student.ppf(0.975, count - 1)) * stdev(values) / math.sqrt(count)
    return mean, mean - half, mean + half


def _points(value: float, low: float, high: float) -> str:
    return f"{100 * value:+.1f} points [{100 * low:.1f}, {100 * high:.1f}]"


def _each_mean(results: Sequence[RunResult], name: str) -> str:
    ours, theirs = (
        _mean([float(getattr(end, name)) for end in ends])
        for ends in zip(*((one.treated, one.random) for one in results), strict=True)
    )
    return f"{ours:.1f}; at random {theirs:.1f}"


def _with_interval(rate: Rate) -> str:
    low, high = rate.interval()
    return f"{rate} [{100 * low:.1f}, {100 * high:.1f}]" if rate.tries else str(rate)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
