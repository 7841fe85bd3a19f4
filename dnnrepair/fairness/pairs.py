"""Each group compared with the reference group, rate by rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm

from dnnrepair.fairness.groups import REGRESSION, enough, rates_of
from dnnrepair.fairness.intervals import holm, newcombe, same_share
from dnnrepair.fairness.metric import metrics
from dnnrepair.fairness.rates import hits_and_tries
from dnnrepair.fairness_report import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dnnrepair.fairness.gates import Gates
    from dnnrepair.fairness.metric import Metric
    from dnnrepair.fairness.rows import Attribute, Rows

    Numbers = NDArray[np.float64]

ALPHA = 0.05
_COMPARED = {
    "binary": ("demographic_parity_difference", "equal_opportunity_difference",
               "false_positive_rate_difference", "predictive_parity_difference",
               "accuracy_difference"),
    "multiclass": ("accuracy_difference",),
    "regression": REGRESSION,
}  # fmt: skip


def differences(
    rows: Rows, attribute: Attribute, gates: Gates, rng: np.random.Generator, draws: int
) -> Iterator[Pair]:
    """Yield each group's rate less the reference group's, for the rates worth comparing.

    Intervals hold for all groups of a rate together (Bonferroni), p-values are adjusted likewise
    (Holm). Shares have Newcombe's intervals; means, and shares of weighted rows, bootstrapped ones.
    """
    for name in _COMPARED[rows.task]:
        metric = metrics[name]
        known = enough(rows, attribute, metric, gates)[0]
        others = [g for g in range(len(known)) if known[g] and g != attribute.reference]
        if not known[attribute.reference] or not others:
            continue
        exact = rows.weights is None and metric.table == "confusion"
        compare = _counted if exact else _drawn
        found = list(compare(rows, attribute, metric, others, rng, draws))
        for pair, p in zip(found, holm([one.p for one in found]), strict=True):
            yield Pair(
                attribute=pair.attribute,
                rate=pair.rate,
                level=pair.level,
                reference=pair.reference,
                value=pair.value,
                low=pair.low,
                high=pair.high,
                p=p,
            )


def _counted(
    rows: Rows,
    attribute: Attribute,
    metric: Metric,
    others: list[int],
    _rng: np.random.Generator,
    _draws: int,
) -> Iterator[Pair]:
    hits, tries = hits_and_tries(metric.rates[0], rows.source("confusion", attribute).table)
    base = attribute.reference
    for g in others:
        pair, total = (hits[[g]], hits[[base]]), (tries[[g]], tries[[base]])
        low, high = newcombe(pair, total, ALPHA / len(others))
        p = same_share((float(hits[g]), float(hits[base])), (float(tries[g]), float(tries[base])))
        value = hits[g] / tries[g] - hits[base] / tries[base]
        yield _pair(attribute, metric, g, (float(value), float(low[0]), float(high[0]), p))


def _drawn(
    rows: Rows,
    attribute: Attribute,
    metric: Metric,
    others: list[int],
    rng: np.random.Generator,
    draws: int,
) -> Iterator[Pair]:
    source = rows.source(metric.table, attribute)
    point = rates_of(rows, attribute, metric)[0, 0]
    found = np.concatenate([metric.coordinates(t)[:, 0, 0] for t in source.draws(draws, rng)])
    base = attribute.reference
    for g in others:
        value = float(point[g] - point[base])
        drawn = found[:, g] - found[:, base]
        low, high = np.nanquantile(drawn, [ALPHA / len(others) / 2, 1 - ALPHA / len(others) / 2])
        spread = float(np.nanstd(drawn))
        p = float(2 * norm.sf(abs(value) / spread)) if spread > 0 else float("nan")
        yield _pair(attribute, metric, g, (value, float(low), float(high), p))


def _pair(
    attribute: Attribute, metric: Metric, place: int, found: tuple[float, float, float, float]
) -> Pair:
    value, low, high, p = found
    return Pair(
        attribute=attribute.name,
        rate=metric.rates[0],
        level=attribute.levels[place],
        reference=attribute.levels[attribute.reference],
        value=value,
        low=low,
        high=high,
        p=p,
    )
