"""Recall on planted faults, false alarms on healthy and look-alike networks (reference, 4.7).

Limits were set on one half of the architectures and seeds 0 to 2; this benchmark judges the other
half, trained from other seeds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dnnrepair.bench.cases import FAULT, HEALTHY, LOOKALIKE, run_cases
from dnnrepair.bench.result import BenchOptions, BenchResult, Figure, Table
from dnnrepair.bench.scores import alarms_on, false_alarms, misses, recall, score_rules
from dnnrepair.finding import Severity
from dnnrepair.finding import rules as known_rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dnnrepair.bench.cases import Outcome
    from dnnrepair.bench.scores import RuleScore
    from dnnrepair.rate import Rate

STRENGTHS = ("weak", "medium", "strong")
MAX_WARNINGS = 0.02  # share of unharmed networks with a WARNING or worse
MIN_RECALL = 0.95  # at medium and at strong strength
REPORTING_SEEDS = (100, 101, 102)
QUICK_NETWORKS = ("mlp-leaky", "groupnorm-cnn", "gru")


REPORTING = (  # limits were set without these; no seed from 100 on was looked at
    "cnn-fmp",
    "dcgan",
    "groupnorm-cnn",
    "gru",
    "inception-resnet",
    "layernorm-mlp",
    "mlp-deep-tanh",
    "mlp-elu",
    "mlp-leaky",
    "mlp-silu",
    "rnn",
    "transformer",
)


def run(options: BenchOptions) -> BenchResult:
    """Diagnose the reporting half of the matrix and score the rules."""
    networks = QUICK_NETWORKS if options.quick else REPORTING
    seeds = REPORTING_SEEDS[:1] if options.quick else REPORTING_SEEDS
    outcomes = observe_all(networks, seeds, options)
    result = summarize(outcomes, tuple(known_rules))
    if not options.peers:
        return result
    from dnnrepair.bench.peers import compare

    table = compare(options, networks, seeds[:1], outcomes)  # one seed: a tool takes seconds a case
    return replace(result, tables=(*result.tables, table))


def observe_all(
    networks: Sequence[str], seeds: Sequence[int], options: BenchOptions
) -> list[Outcome]:
    """Return the outcomes of all cases, in the order of the matrix."""
    options.progress.stage("diagnosing planted faults", len(networks) * len(seeds))
    outcomes: list[Outcome] = []
    jobs = run_cases(
        networks,
        seeds,
        cache=options.cache,
        workers=options.workers,
        strengths=("strong",) if options.quick else None,
    )
    for done in jobs:
        outcomes.extend(done)
        options.progress.advance(1)
    options.progress.finish()
    return sorted(outcomes, key=lambda o: (o.case.network, o.case.seed, o.case.kind, o.case.spec))


def summarize(outcomes: Sequence[Outcome], codes: Sequence[str]) -> BenchResult:
    """Return the tables and required figures for a set of outcomes."""
    scores = score_rules(outcomes, codes)
    tables = (_overview(outcomes), _by_rule(scores), _false_alarms(outcomes), _missed(outcomes))
    failed = [f"{o.case.spec} (seed {o.case.seed}): {o.error}" for o in outcomes if o.error]
    untested = [s.code for s in scores if not s.recall]
    skipped = [f"{code}: no fault was planted for it in these networks" for code in untested]
    return BenchResult("diagnose", tables, _figures(outcomes), tuple(failed + skipped))


def _figures(outcomes: Sequence[Outcome]) -> tuple[Figure, ...]:
    errors = false_alarms(outcomes, Severity.ERROR)
    warnings = false_alarms(outcomes, Severity.WARNING)
    found = [(s, recall(outcomes, s)) for s in STRENGTHS[1:]]
    return (
        Figure("networks with a false ERROR", "0", float(errors.hits), errors.hits == 0),
        Figure(
            "share of networks with a false WARNING",
            f"at most {MAX_WARNINGS}",
            warnings.value,
            warnings.value <= MAX_WARNINGS,
        ),
        *(
            Figure(
                f"recall, {s}",
                f"at least {MIN_RECALL}",
                rate.value if rate.tries else None,
                rate.value >= MIN_RECALL if rate.tries else None,
            )
            for s, rate in found
        ),
    )


def _overview(outcomes: Sequence[Outcome]) -> Table:
    def count(kind: str) -> int:
        return sum(o.case.kind == kind for o in outcomes)

    errors, warnings = (false_alarms(outcomes, s) for s in (Severity.ERROR, Severity.WARNING))
    seconds = sorted(o.seconds for o in outcomes if not o.error)
    middle = seconds[len(seconds) // 2] if seconds else 0.0
    rows: list[tuple[str, str]] = [
        ("healthy networks", str(count(HEALTHY))),
        ("look-alike networks", str(count(LOOKALIKE))),
        ("networks with a planted fault", str(count(FAULT))),
        ("false ERROR, networks", _with_interval(errors)),
        (
            "false WARNING or worse, networks",
            _with_interval(warnings),
        ),
        *((f"recall, {s}", _with_interval(recall(outcomes, s))) for s in STRENGTHS),
        ("median time of a diagnosis", f"{middle:.2f} s"),
    ]
    return Table(
        "Planted faults and unharmed networks", ("", "measured (95 % interval)"), tuple(rows)
    )


def _with_interval(rate: Rate) -> str:
    low, high = rate.interval()
    return f"{rate} [{100 * low:.1f}, {100 * high:.1f}]" if rate.tries else str(rate)


def _by_rule(scores: Sequence[RuleScore]) -> Table:
    rows = tuple(
        (
            f"{score.code} {known_rules[score.code].name}",
            *(_brief(score.recall.get(s)) for s in STRENGTHS),
            _brief(score.false_warnings),
            _brief(score.false_errors),
            _brief(score.crossfires),
        )
        for score in scores
    )
    columns = ("rule", *STRENGTHS, "false WARN", "false ERROR", "cross-fires")
    return Table(
        "Each rule: recall by strength, alarms where there is no such fault", columns, rows
    )


def _brief(rate: Rate | None) -> str:
    return f"{rate.hits}/{rate.tries}" if rate is not None and rate.tries else "-"


def _false_alarms(outcomes: Sequence[Outcome]) -> Table:
    found = alarms_on(outcomes, Severity.WARNING).items()
    return Table("False alarms", ("rule", "network", "version", "times"), _counted(found))


def _missed(outcomes: Sequence[Outcome]) -> Table:
    found = misses(outcomes)
    return Table(
        "Missed faults", ("fault", "network", "strength", "times"), _counted(found.items())
    )


def _counted(items: Iterable[tuple[tuple[str, str, str], int]]) -> tuple[tuple[str, ...], ...]:
    return tuple((*key, str(times)) for key, times in sorted(items))
