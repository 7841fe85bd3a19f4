"""What is known of each group: its size, its rates, and whether that is enough to judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dnnrepair.fairness.intervals import wilson
from dnnrepair.fairness.metric import TWO_CLASSES, metrics
from dnnrepair.fairness.rates import ACCURACY, hits_and_tries, share
from dnnrepair.fairness_report import Estimate, Group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dnnrepair.fairness.gates import Gates
    from dnnrepair.fairness.metric import Metric
    from dnnrepair.fairness.rows import Attribute, Rows

    Numbers = NDArray[np.float64]
    Mask = NDArray[np.bool_]

SHOWN = {
    "binary": ("base_rate", "selection_rate", "tpr", "fpr", "ppv", ACCURACY),
    "multiclass": (ACCURACY,),
}
REGRESSION = ("mean_error_difference", "mean_absolute_error_difference",
              "mean_prediction_difference")  # fmt: skip


def enough(rows: Rows, attribute: Attribute, metric: Metric, gates: Gates) -> Mask:
    """Return ``(rates, groups)`` whether a group has rows enough for a rate of a metric.

    It has if it has ``min_group`` rows, and ``min_cell`` of them are tries of the rate. Where there
    are more than two classes, this holds for each class of which the label is part of the rate.
    """
    count = len(attribute.levels)
    sizes = np.bincount(attribute.codes, minlength=count)
    large = sizes >= gates.min_group
    if metric.table != "confusion":
        return np.tile(large, (max(len(metric.rates), 1), 1))
    cells = rows.cells(attribute)
    found = [large & (_tries(name, cells) >= gates.min_cell) for name in metric.rates or ("",)]
    return np.stack(found)


def _tries(rate: str, cells: Numbers) -> Numbers:
    """Return ``(groups,)`` the fewest rows that any class has to compute a rate from."""
    labeled, predicted = cells.sum(axis=2), cells.sum(axis=1)
    if rate == "macro_recall":
        return np.asarray(labeled.min(axis=1))
    of, negative = {
        "tpr": (labeled, False),
        "fnr": (labeled, False),
        "fpr": (labeled, True),
        "tnr": (labeled, True),
        "ppv": (predicted, False),
        "npv": (predicted, True),
    }.get(rate, (cells.sum(axis=(1, 2))[:, None], None))
    if negative is None:
        return np.asarray(of[:, 0])
    if cells.shape[1] == TWO_CLASSES:
        return np.asarray(of[:, 0 if negative else 1])
    rest = of.sum(axis=1, keepdims=True) - of
    return np.asarray((rest if negative else of).min(axis=1))


def rates_of(rows: Rows, attribute: Attribute, metric: Metric) -> Numbers:
    """Return the rates ``(rates, classes, groups)`` that a metric compares."""
    found = metric.coordinates(rows.source(metric.table, attribute).table)
    return np.exp(found) if metric.ratio else found


def described(rows: Rows, attribute: Attribute, gates: Gates) -> Iterator[Group]:
    """Yield each group of an attribute with its rates and their Wilson intervals."""
    sizes = np.bincount(attribute.codes, minlength=len(attribute.levels))
    cells = rows.cells(attribute) if rows.classes else None
    rates = _estimates(rows, attribute)
    for place, level in enumerate(attribute.levels):
        two = cells is not None and rows.task == "binary"
        negatives, positives = (
            cells[place].sum(axis=1).tolist()  # type: ignore[index]
            if two
            else (float("nan"), float("nan"))
        )
        reason = _lack(int(sizes[place]), positives, negatives, gates)
        yield Group(
            attribute=attribute.name,
            level=level,
            n=int(sizes[place]),
            n_pos=positives,
            n_neg=negatives,
            eligible=not reason,
            reason=reason,
            rates=tuple(column[place] for column in rates),
        )


def _lack(count: int, positives: float, negatives: float, gates: Gates) -> str:
    if not count:
        return "no rows"
    if count < gates.min_group:
        return f"n < {gates.min_group}"
    if positives < gates.min_cell:
        return f"{positives:.0f} with the positive label, fewer than {gates.min_cell}"
    if negatives < gates.min_cell:
        return f"{negatives:.0f} with the negative label, fewer than {gates.min_cell}"
    return ""


def _estimates(rows: Rows, attribute: Attribute) -> list[list[Estimate]]:
    """Return estimates of each rate, by group."""
    if rows.task == "regression":
        return [_means(rows, attribute, name) for name in REGRESSION]
    table = rows.source("confusion", attribute).table
    effective = rows.effective(attribute)
    found = []
    for name in SHOWN[rows.task]:
        hits, tries = (part * effective for part in hits_and_tries(name, table))
        low, high = wilson(hits, tries)
        found.append(_column(name, share(hits, tries), low, high, tries))
    if "calibration" in rows.tables:
        metric = metrics["calibration_error_difference"]
        errors = rates_of(rows, attribute, metric)[0, 0]
        unknown = np.full(len(errors), np.nan)
        found.append(_column("calibration_error", errors, unknown, unknown, unknown))
    return found


def _means(rows: Rows, attribute: Attribute, name: str) -> list[Estimate]:
    """Return means with their normal intervals; the groups are large where it matters."""
    metric = metrics[name]
    means = rates_of(rows, attribute, metric)[0, 0]
    errors = rows.predictions - rows.labels
    values = {
        "mean_error": errors,
        "mean_absolute_error": np.abs(errors),
        "mean_prediction": rows.predictions,
    }[metric.rates[0]]
    weights = np.ones(len(rows)) if rows.weights is None else rows.weights
    count = len(attribute.levels)
    away = (values - np.nan_to_num(means)[attribute.codes]) * weights
    squares = np.bincount(attribute.codes, weights=away**2, minlength=count)
    total = np.bincount(attribute.codes, weights=weights, minlength=count).astype(np.float64)
    half = 1.959964 * share(np.sqrt(squares), total)
    tries = np.bincount(attribute.codes, minlength=count).astype(np.float64)
    return _column(metric.rates[0], means, means - half, means + half, tries)


def _column(
    name: str, values: Numbers, low: Numbers, high: Numbers, tries: Numbers
) -> list[Estimate]:
    known = ~np.isnan(values)
    low, high = np.where(known, low, np.nan), np.where(known, high, np.nan)
    columns = zip(values.tolist(), low.tolist(), high.tolist(), tries.tolist(), strict=True)
    return [Estimate(id=name, value=v, low=a, high=b, count=n) for v, a, b, n in columns]
