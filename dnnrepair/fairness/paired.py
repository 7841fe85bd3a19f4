"""What a repair changed, on the same rows: paired bootstraps on tables of counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from dnnrepair.fairness.counts import paired_confusion
from dnnrepair.fairness.metric import metrics, value
from dnnrepair.fairness.rates import f1, rate
from dnnrepair.fairness.resampling import Counts
from dnnrepair.fairness_report import Change, Flips

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from dnnrepair.fairness.cohort import Cohort
    from dnnrepair.fitness.disparity import Disparity

    Numbers = NDArray[np.float64]
    Whole = NDArray[np.int64]

_OVERALL: dict[str, Callable[[Numbers], Numbers]] = {
    "accuracy": lambda table: rate("accuracy", table),
    "f1": f1,
    "balanced_accuracy": lambda table: (rate("tpr", table) + rate("tnr", table)) / 2,
    "selection_rate": lambda table: rate("selection_rate", table),
}
METRIC_OF = {
    "dp": "demographic_parity_difference",
    "eopp": "equal_opportunity_difference",
    "eodds": "equalized_odds_difference",
    "aaod": "average_absolute_odds_difference",
    "accgap": "accuracy_difference",
    "ppv": "predictive_parity_difference",
}
RATIOS = frozenset({"demographic_parity_ratio", "worst_group_accuracy"})  # larger is better


def paired_table(cohort: Cohort, before: Whole, after: Whole) -> Numbers:
    """Count the rows of groups that count by group, label, and decision before and after."""
    inside = cohort.groups >= 0
    parts = (cohort.labels, before == cohort.positive, after == cohort.positive)
    labels, first, second = (part[inside].astype(np.int64) for part in parts)
    return paired_confusion(
        cohort.groups[inside], labels, first, second, group_count=len(cohort.levels)
    )


def paired_gaps(
    table: Numbers, disparity: Disparity, rng: np.random.Generator, draws: int
) -> tuple[Numbers, Numbers]:
    """Return the objective's gap before and after on resampled rows, ``(draws,)`` each.

    Args:
        table: of :func:`paired_table`.
        disparity: the objective.
        rng: draws.
        draws: how many.
    """
    source = Counts(table)
    drawn = torch.from_numpy(np.concatenate(list(source.draws(draws, rng))))
    return disparity.gap(drawn.sum(-1)).numpy(), disparity.gap(drawn.sum(-2)).numpy()


def changes(
    cohort: Cohort,
    before: Whole,
    after: Whole,
    objective: str,
    rng: np.random.Generator,
    draws: int,
) -> Iterator[Change]:
    """Yield how each overall number and each group metric changed, with paired intervals."""
    table = paired_table(cohort, before, after)
    drawn = np.concatenate(list(Counts(table).draws(draws, rng)))
    pairs = (table.sum(-1), table.sum(-2), drawn.sum(-1), drawn.sum(-2))
    for name, of in _OVERALL.items():
        yield _change(name, "", *(of(one.sum(-3)) for one in pairs))
    for name in metrics:
        metric = metrics[name]
        if metric.table == "confusion" and name != "macro_recall_difference":
            found = (value(metric, one) for one in pairs)
            optimized = METRIC_OF.get(objective) == name
            yield _change(name, cohort.attribute, *found, optimized=optimized)


def flips_of(cohort: Cohort, before: Whole, after: Whole, classes: tuple[str, str]) -> list[Flips]:
    """Return whose decision changed, by group and label.

    Args:
        cohort: the rows.
        before: answers of the untouched network.
        after: answers of the repaired one.
        classes: names of the negative and the positive label.
    """
    table = paired_table(cohort, before, after)
    return [
        Flips(
            attribute=cohort.attribute,
            level=level,
            label=classes[label],
            n=int(table[place, label].sum()),
            lost=int(table[place, label, 1, 0]),
            won=int(table[place, label, 0, 1]),
        )
        for place, level in enumerate(cohort.levels)
        for label in (0, 1)
    ]


def levels_down(table: Numbers) -> bool:
    """Tell whether a gap closed only by taking: no group's positives were better off.

    Args:
        table: of :func:`paired_table`.
    """
    before, after = rate("tpr", table.sum(-1)), rate("tpr", table.sum(-2))
    moved = after - before
    known = moved[~np.isnan(moved)]
    return bool(known.size and (known <= 0).all() and (known < 0).any())


def _change(
    name: str,
    attribute: str,
    before: Numbers,
    after: Numbers,
    drawn_before: Numbers,
    drawn_after: Numbers,
    *,
    optimized: bool = False,
) -> Change:
    moved = drawn_after - drawn_before
    moved = moved[np.isfinite(moved)]
    low, high, p = float("nan"), float("nan"), float("nan")
    if moved.size:
        low, high = (float(x) for x in np.quantile(moved, [0.025, 0.975]))
        least = min(float((moved <= 0).mean()), float((moved >= 0).mean()))
        p = min(1.0, 2 * max(least, 1 / (len(moved) + 1)))
    return Change(
        id=name,
        attribute=attribute,
        before=float(before),
        after=float(after),
        value=float(after) - float(before),
        low=low,
        high=high,
        p=p,
        optimized=optimized,
    )
