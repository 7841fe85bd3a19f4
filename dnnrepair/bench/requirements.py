"""What the population benchmark is required to show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.bench.contest import CACHED, NAIVE
from dnnrepair.bench.result import Figure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dnnrepair.bench.contest import Row

SAMPLES, CANDIDATES = 2000, 100  # N and P of the required ratios
RATIOS: dict[str, dict[str, float]] = {  # by rival and workload
    NAIVE: {
        "head": 10_000,
        "hidden": 10_000,
        "conv, 2 channels": 30,
        "conv, 9 channels": 12,
        "resnet20, late": 150,
        "resnet20, middle": 2.5,
    },
    CACHED: {"head": 7, "hidden": 2000, "conv, 2 channels": 20, "lstm": 2},
}
LEAST_RATIO = 1.0  # to the naive loop, in every row
LEAST_SEARCH = 0.5  # of the rate without bookkeeping
MAX_DIFFERENCE = 1e-5  # of fitness, relative


def figures(rows: Sequence[Row]) -> tuple[Figure, ...]:
    """Return the required figures; those of rows that were not measured have no value."""
    measured = {
        row.workload: row for row in rows if (row.samples, row.candidates) == (SAMPLES, CANDIDATES)
    }
    ratios = [
        at_least(
            f"{workload}: times faster than {rival}",
            bound,
            measured[workload].ratio(rival) if workload in measured else None,
        )
        for rival, bounds in RATIOS.items()
        for workload, bound in bounds.items()
    ]
    difference = max((row.difference for row in rows), default=None)
    verdicts = max((float(row.verdicts) for row in rows), default=None)
    return (
        *ratios,
        _lowest("lowest ratio to naive", LEAST_RATIO, [(r.ratio(NAIVE), r.label) for r in rows]),
        _lowest(
            "lowest share that a search reaches",
            LEAST_SEARCH,
            [(row.share, row.label) for row in rows],
        ),
        _at_most("relative difference of fitness", MAX_DIFFERENCE, difference),
        _at_most("verdicts that differ", 0, verdicts),
    )


def _lowest(name: str, bound: float, values: Iterable[tuple[float | None, str]]) -> Figure:
    """Return the figure of the lowest value, named with where it was measured."""
    value, label = min(
        ((value, label) for value, label in values if value is not None), default=(None, "")
    )
    return at_least(f"{name} ({label})" if label else name, bound, value)


def at_least(name: str, bound: float, value: float | None) -> Figure:
    """Return the figure of a value that must not be lower; not judged if None."""
    return Figure(name, f"at least {bound:g}", value, None if value is None else value >= bound)


def _at_most(name: str, bound: float, value: float | None) -> Figure:
    return Figure(name, f"at most {bound:g}", value, None if value is None else value <= bound)
