"""How good the predictions are for all rows together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dnnrepair.fairness.rates import ACCURACY, MACRO_RECALL, f1, rate
from dnnrepair.fairness.rows import Attribute
from dnnrepair.fairness_report import Estimate

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dnnrepair.fairness.rows import Rows

    Numbers = NDArray[np.float64]

_CLASSIFY: dict[str, Callable[[Numbers], Numbers]] = {
    "accuracy": lambda table: rate(ACCURACY, table),
    "balanced_accuracy": lambda table: rate(MACRO_RECALL, table),
}
_BINARY: dict[str, Callable[[Numbers], Numbers]] = {
    **_CLASSIFY,
    "f1": f1,
    "selection_rate": lambda table: rate("selection_rate", table),
    "base_rate": lambda table: rate("base_rate", table),
}
_REGRESS: dict[str, Callable[[Numbers], Numbers]] = {
    "mean_error": lambda sums: sums[..., 1] / sums[..., 0],
    "mean_absolute_error": lambda sums: sums[..., 2] / sums[..., 0],
    "mean_prediction": lambda sums: sums[..., 3] / sums[..., 0],
}


def overall(rows: Rows, rng: np.random.Generator, draws: int) -> tuple[Estimate, ...]:
    """Return accuracy and the like with bootstrapped 95 % intervals (percentiles)."""
    wanted = {"binary": _BINARY, "multiclass": _CLASSIFY, "regression": _REGRESS}[rows.task]
    everyone = Attribute(
        name="", levels=("all",), codes=np.zeros(len(rows), dtype=np.int64), reference=0
    )
    source = rows.source(rows.tables[0], everyone)
    drawn = np.concatenate(list(source.draws(draws, rng)))[:, 0]
    return tuple(_estimate(n, f, source.table[0], drawn, len(rows)) for n, f in wanted.items())


def _estimate(
    name: str, of: Callable[[Numbers], Numbers], table: Numbers, drawn: Numbers, count: int
) -> Estimate:
    value = float(of(table))
    found = of(drawn)
    found = found[np.isfinite(found)]
    if not found.size:
        return Estimate(id=name, value=value, count=count)
    low, high = np.quantile(found, [0.025, 0.975])
    return Estimate(id=name, value=value, low=float(low), high=float(high), count=count)
