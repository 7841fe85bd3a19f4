"""What an audit is required to show: intervals that hold, and a million rows in seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from dnnrepair.bench.result import Figure, Table
from dnnrepair.fairness.intervals import newcombe
from dnnrepair.fairness.metric import named, value
from dnnrepair.fairness.resampling import Counts
from dnnrepair.fairness.sureness import sureness

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dnnrepair.bench.result import BenchOptions

    Numbers = NDArray[np.float64]

NOMINAL, REQUIRED = 0.95, 0.93
ROWS, MOST_SECONDS, MOST_GIB = 1_000_000, 10.0, 2.0
_RUNS = 500
_CASES = (  # metric, rate of selection of each group, rows of each label in a group
    ("dp", (0.30, 0.40), 400),
    ("dp", (0.05, 0.12), 60),
    ("dp", (0.30, 0.30, 0.30, 0.30), 30),
    ("di", (0.30, 0.45), 400),
    ("eopp", (0.60, 0.75, 0.70), 150),
    ("eodds", (0.30, 0.30, 0.30, 0.30), 200),
    ("aaod", (0.40, 0.55), 100),
    ("accgap", (0.20, 0.35), 60),
)
# run in a process of its own, whose largest memory the system then knows
_AUDIT = """
import json, resource, sys
from dnnrepair.cli.main import run
code = run(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([code, used.ru_maxrss, used.ru_utime + used.ru_stime]), file=sys.stderr)
"""


def audit_rows(options: BenchOptions) -> tuple[tuple[Table, ...], tuple[Figure, ...]]:
    """Return the tables and the required figures of the audit."""
    runs = _RUNS // 2 if options.quick else _RUNS
    options.progress.stage("coverage", len(_CASES))
    rows = []
    for name, rates, size in _CASES:
        rows.append((name, rates, size, *_coverage(name, rates, size, runs, options.seed)))
        options.progress.advance(1)
    options.progress.stage("a million rows", None)
    seconds, cpu, memory = _million(options.seed)
    coverage = Table(
        f"Share of 95 % intervals that hold the true value, {runs} simulations each",
        ("metric", "true rates", "rows a cell", "interval of the metric", "signed difference"),
        tuple((n, " ".join(f"{r:g}" for r in p), str(s), f"{gap:.3f}", f"{pair:.3f}")
              for n, p, s, gap, pair in rows),
    )  # fmt: skip
    speed = Table(
        f"Audit of {ROWS:,} rows from a CSV with two attributes, process started to report written",
        ("wall seconds", "CPU seconds", "largest memory, GiB"),
        ((f"{seconds:.1f}", f"{cpu:.1f}", f"{memory:.2f}"),),
    )
    least = min(min(gap, pair) for *_, gap, pair in rows)
    bound = f"at least {REQUIRED:.0%} of nominal {NOMINAL:.0%}"
    return (coverage, speed), (
        Figure("audit: coverage of intervals, worst case", bound, least, least >= REQUIRED),
        Figure(f"audit: CPU seconds for {ROWS:,} rows", f"at most {MOST_SECONDS:g}", cpu,
               cpu <= MOST_SECONDS),
        Figure(f"audit: GiB for {ROWS:,} rows", f"at most {MOST_GIB:g}", memory,
               memory <= MOST_GIB),
    )  # fmt: skip


def _coverage(
    name: str, rates: tuple[float, ...], size: int, runs: int, seed: int
) -> tuple[float, float]:
    """Return how often the metric's interval and Newcombe's of the first pair hold the truth."""
    rng = np.random.default_rng(seed)
    metric = named(name)
    ideal = _table(np.array([rates, rates]).T, np.ones((len(rates), 2)))
    true = float(value(metric, ideal))
    known = np.ones((len(metric.rates), len(rates)), dtype=bool)
    sizes = np.full((len(rates), 2), float(size))
    held = paired = 0
    for _ in range(runs):
        selected = rng.binomial(size, np.array([rates, rates]).T).astype(np.float64)
        source = Counts(_table(selected, sizes))
        sure = sureness(metric, source, known, np.ones(len(rates)), rng, draws=500)
        held += sure.low <= true <= sure.high
        hits, tries = selected.sum(axis=1), sizes.sum(axis=1)
        low, high = newcombe((hits[[0]], hits[[1]]), (tries[[0]], tries[[1]]))
        paired += bool(low[0] <= rates[0] - rates[1] <= high[0])
    return held / runs, paired / runs


def _table(selected: Numbers, sizes: Numbers) -> Numbers:
    """Return counts ``(groups, labels, predictions)`` from those selected of each label."""
    return np.stack([sizes - selected, selected], axis=-1)


def _million(seed: int) -> tuple[float, float, float]:
    """Return wall seconds, CPU seconds and GiB of an audit in a process of its own."""
    with TemporaryDirectory() as folder:
        path, report = Path(folder) / "rows.csv", Path(folder) / "audit.json"
        path.write_text("".join(_lines(seed)), encoding="utf-8")
        command = [sys.executable, "-c", _AUDIT, "audit", "--predictions", str(path)]
        command += ["--positive", "yes", "--sensitive", "sex,race", "--output", str(report)]
        began = perf_counter()
        ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        seconds = perf_counter() - began
        assert json.loads(report.read_text())["inputs"]["files"][0]["rows"] == ROWS  # noqa: S101
        _, kibibytes, cpu = json.loads(ended.stderr.splitlines()[-1])
    return seconds, cpu, kibibytes / 2**20


def _lines(seed: int) -> Iterator[str]:
    rng = np.random.default_rng(seed)
    label = rng.random(ROWS) < 0.3  # noqa: PLR2004
    score = np.clip(0.2 + 0.4 * label + rng.normal(0, 0.2, ROWS), 0, 1)
    sex = rng.choice(["Female", "Male"], ROWS)
    race = rng.choice(["A", "B", "C", "D", "E"], ROWS, p=[0.6, 0.2, 0.1, 0.07, 0.03])
    yield "label,score,sex,race\n"
    for y, s, a, b in zip(label.tolist(), score.tolist(), sex, race, strict=True):
        yield f"{'yes' if y else 'no'},{s:.4f},{a},{b}\n"
