"""What repairs did, as tables."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from dnnrepair.bench.repairs import ALPHAS, CURVE
from dnnrepair.bench.result import Table
from dnnrepair.bench.tradeoff import GRID, curve
from dnnrepair.rate import Rate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dnnrepair.bench.repairs import Run
    from dnnrepair.patch_report import Point
    from dnnrepair.verdict import ClassChange


def tables(data: str, runs: Sequence[Run]) -> Iterator[Table]:
    """Yield the tables of one network's repairs."""
    mine = [run for run in runs if run.data == data]
    count = f"{len({run.kind for run in mine})} error types, {len({r.seed for r in mine})} seeds"
    yield _curves(f"{data}: unseen targets fixed at each share of broken inputs ({count})", mine)
    each = [run for run in mine if run.method != CURVE]
    yield _taken(f"{data}: the change that each method would take ({count})", each)
    yield _by_type(f"{data}: error types, fixed of the unseen and change of accuracy", each)
    yield _alphas(f"{data}: alpha of arachne, accuracy on the unseen half (one seed)", mine)


def by_method(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Return the runs of each method."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run.method, []).append(run)
    return found


def pooled(points: Iterable[Point]) -> Rate:
    """Return how many targets were fixed of all."""
    rates = [point.held_out.targets for point in points]
    return Rate(sum(rate.hits for rate in rates), sum(rate.tries for rate in rates))


def gain(run: Run) -> float:
    """Return the accuracy that what is taken gains on the unseen half, 0 if nothing is taken."""
    point = run.chosen()
    return 0.0 if point is None else point.held_out.gain.value


def _curves(title: str, runs: Sequence[Run]) -> Table:
    rows = tuple(
        (method, *(f"{value:.3f}" for value in np.mean([*map(curve, some)], axis=0).tolist()))
        for method, some in by_method(runs).items()
        if len(some[0].points) > 1
    )
    return Table(title, ("method", *(f"{100 * share:g} %" for share in GRID)), rows)


def _taken(title: str, runs: Sequence[Run]) -> Table:
    columns = ("method", "taken", "targets fixed", "broken", "accuracy", "numbers changed")
    return Table(title, columns, tuple(_taken_row(m, some) for m, some in by_method(runs).items()))


def _taken_row(method: str, runs: Sequence[Run]) -> tuple[str, ...]:
    chosen = [point for run in runs if (point := run.chosen()) is not None]
    taken = f"{len(chosen)} of {len(runs)}"
    if not chosen:
        return (method, taken, "-", "-", "0", "-")
    return (
        method,
        taken,
        f"{100 * pooled(chosen).value:.1f} %",
        f"{100 * fmean(point.held_out.broken.value for point in chosen):.2f} %",
        f"{100 * fmean(map(gain, runs)):+.2f} points",
        f"{fmean(point.numbers for point in chosen):.0f}",
    )


def _by_type(title: str, runs: Sequence[Run]) -> Table:
    methods = by_method(runs)
    kinds = list(dict.fromkeys(run.kind for run in runs))
    rows = tuple(
        (f"{kind[0]} -> {kind[1]}", *(_cell(some, kind) for some in methods.values()))
        for kind in kinds
    )
    return Table(title, ("true -> predicted", *methods), rows)


def _cell(runs: Sequence[Run], kind: tuple[int, int]) -> str:
    mine = [run for run in runs if run.kind == kind]
    fixed = pooled(point for run in mine if (point := run.chosen()) is not None)
    share = f"{100 * fixed.value:.0f} %" if fixed.tries else "-"
    return f"{share}, {100 * fmean(map(gain, mine)):+.2f}"


def _alphas(title: str, runs: Sequence[Run]) -> Table:
    mine = [run for run in runs if run.method == CURVE]
    rows = tuple(_alpha_row(alpha, mine) for alpha in ALPHAS)
    columns = ("alpha", "targets fixed", "broken", "true class", "confused class", "overall")
    return Table(title, columns, rows)


def _alpha_row(alpha: float, runs: Sequence[Run]) -> tuple[str, ...]:
    points = [(run, run.named(f"alpha {alpha:g}")) for run in runs]
    true, confused = (
        fmean(_class_gain(point, run.kind[side]) for run, point in points) for side in (0, 1)
    )
    return (
        f"{alpha:g}",
        f"{100 * pooled(point for _, point in points).value:.1f} %",
        f"{100 * fmean(point.held_out.broken.value for _, point in points):.2f} %",
        f"{100 * true:+.1f} points",
        f"{100 * confused:+.1f} points",
        f"{100 * fmean(point.held_out.gain.value for _, point in points):+.2f} points",
    )


def _class_gain(point: Point, label: int) -> float:
    change: ClassChange = next(c for c in point.held_out.classes if c.label == label)
    return (change.after - change.before) / change.total
