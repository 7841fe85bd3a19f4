"""From rows to everything that a report says of one network on one part of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dnnrepair.fairness.curves import curves
from dnnrepair.fairness.gates import Gates, judged, large_is_fair
from dnnrepair.fairness.groups import described, enough, rates_of
from dnnrepair.fairness.metric import metrics
from dnnrepair.fairness.overall import overall
from dnnrepair.fairness.pairs import differences
from dnnrepair.fairness.rates import MACRO_RECALL
from dnnrepair.fairness.rows import intersections
from dnnrepair.fairness.sureness import sureness
from dnnrepair.fairness_report import Disparity, Measurement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dnnrepair.fairness.metric import Metric
    from dnnrepair.fairness.rows import Attribute, Rows

    Numbers = NDArray[np.float64]
    Mask = NDArray[np.bool_]

ONLY_TWO_CLASSES = frozenset({"theil_index"})
ONLY_MORE = frozenset({"macro_recall_difference"})
MEANINGLESS = frozenset({"accuracy_difference", "worst_group_accuracy"})  # all that is left


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to measure.

    Attributes:
        gates: what is asked of the network.
        draws: of the bootstrap.
        seed: of the bootstrap.
        intersect: look at pairs of attributes, too.
        gate_intersections: and let them count for the verdict.
        same_as_label: attributes that are the label itself; only accuracy has a meaning there.
    """

    gates: Gates
    draws: int = 2000
    seed: int = 0
    intersect: bool = True
    gate_intersections: bool = False
    same_as_label: frozenset[str] = frozenset()


def measure(rows: Rows, plan: Plan, part: str = "test") -> Measurement:
    """Measure rows with all metrics that their kind allows.

    Args:
        rows: what is true and what was predicted.
        plan: how to measure.
        part: name of the part of the data.
    """
    crossed = tuple(intersections(rows.attributes)) if plan.intersect else ()
    everything = (*rows.attributes, *crossed)
    rng = np.random.default_rng(plan.seed)
    disparities = tuple(
        found for attribute in everything for found in _disparities(rows, attribute, plan, rng)
    )
    return Measurement(
        part=part,
        overall=overall(rows, rng, plan.draws),
        groups=tuple(g for a in everything for g in described(rows, a, plan.gates)),
        disparities=disparities,
        pairs=tuple(
            pair
            for attribute in rows.attributes
            for pair in differences(rows, attribute, plan.gates, rng, plan.draws)
        ),
        curves=tuple(
            curve
            for attribute in rows.attributes
            if attribute.name not in plan.same_as_label
            for curve in curves(rows, attribute, plan.gates)
        ),
    )


def chosen_metrics(rows: Rows, *, same_as_label: bool) -> Iterator[Metric]:
    """Yield the metrics that such rows can have."""
    for name in metrics:
        metric = metrics[name]
        if metric.table not in rows.tables:
            continue
        if same_as_label and metric.id not in MEANINGLESS:
            continue
        if metric.id not in (ONLY_MORE if rows.task == "binary" else ONLY_TWO_CLASSES):
            yield metric


def _disparities(
    rows: Rows, attribute: Attribute, plan: Plan, rng: np.random.Generator
) -> Iterator[Disparity]:
    same = not plan.same_as_label.isdisjoint((attribute.name, *attribute.parts))
    for metric in chosen_metrics(rows, same_as_label=same):
        if metric.id == "theil_index" and attribute.name != rows.attributes[0].name:
            continue  # it is of all rows, and once is enough
        compared = rows.task == "multiclass" and not metric.level
        several = compared and set(metric.rates) - {"accuracy", MACRO_RECALL}
        for over in ("max", "mean") if several else ("",):
            yield _disparity(rows, attribute, metric, over, plan, rng)


def _disparity(
    rows: Rows,
    attribute: Attribute,
    metric: Metric,
    over: str,
    plan: Plan,
    rng: np.random.Generator,
) -> Disparity:
    source = rows.source(metric.table, attribute)
    known = enough(rows, attribute, metric, plan.gates)
    sure = sureness(
        metric,
        source,
        known,
        rows.effective(attribute),
        rng,
        draws=plan.draws,
        mean=over == "mean",
    )
    excluded = (
        ()
        if metric.id == "theil_index"
        else tuple(
            level
            for level, fine in zip(attribute.levels, np.all(known, axis=0).tolist(), strict=True)
            if not fine
        )
    )
    limit = plan.gates.limit(metric) if over != "mean" else None
    counts = not attribute.parts or plan.gate_intersections
    verdict, reason = "", ""
    if np.isnan(sure.value):
        reason = "fewer than two groups have enough rows"
        verdict = "inconclusive" if limit is not None else ""
    elif limit is not None:
        fair = large_is_fair(metric)
        verdict = judged(
            sure.value, sure.low, sure.high, limit, large_is_fair=fair, by=plan.gates.by
        )
        if excluded:
            verdict, reason = "inconclusive", f"too few rows of {_some(excluded)}"
        elif verdict == "inconclusive":
            reason = "the interval holds the limit"
    return Disparity(
        id=metric.id,
        title=metric.title,
        attribute=attribute.name,
        over=over,
        value=sure.value,
        low=sure.low,
        high=sure.high,
        noise_floor=sure.noise_floor,
        worst_pair=_worst(rows, attribute, metric, known),
        limit=limit,
        ratio=large_is_fair(metric),
        method=sure.method,
        gate=limit is not None and counts,
        verdict=verdict,
        reason=reason,
        excluded=excluded,
    )


def _worst(rows: Rows, attribute: Attribute, metric: Metric, known: Mask) -> tuple[str, ...]:
    """Return the levels with the largest and the smallest value of the rate that differs most."""
    if not metric.rates:
        return ()
    found = rates_of(rows, attribute, metric)  # (rates, classes, groups)
    shown = np.where(known[:, None, :], found, np.nan).reshape(-1, len(attribute.levels))
    usable = (~np.isnan(shown)).sum(axis=1) > 1
    if not usable.any():
        return ()
    row = max(shown[usable], key=lambda values: float(np.nanmax(values) - np.nanmin(values)))
    most, least = int(np.nanargmax(row)), int(np.nanargmin(row))
    return () if most == least else (attribute.levels[most], attribute.levels[least])


def _some(levels: tuple[str, ...]) -> str:
    most = 3
    rest = f" and {len(levels) - most} more" if len(levels) > most else ""
    return ", ".join(levels[:most]) + rest
