"""Tables of counts: all that the group metrics need to know of the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Whole = NDArray[np.integer[Any]]
    Numbers = NDArray[np.float64]

CALIBRATION_BINS = 10  # of equal width in [0, 1]


def confusion(
    groups: Whole,
    labels: Whole,
    predictions: Whole,
    *,
    group_count: int,
    class_count: int = 2,
    weights: Numbers | None = None,
) -> Numbers:
    """Count rows by group, label and prediction.

    Args:
        groups: ``(rows,)`` in 0 ... group_count - 1.
        labels: ``(rows,)`` in 0 ... class_count - 1; 1 is positive where there are two.
        predictions: ``(rows,)``, as the labels.
        group_count: how many groups there are, with rows or without.
        class_count: how many classes there are.
        weights: ``(rows,)`` what each row counts, 1 by default.

    Returns:
        ``(groups, labels, predictions)``.
    """
    shape = (group_count, class_count, class_count)
    return tabulated((groups, labels, predictions), shape, weights)


def paired_confusion(
    groups: Whole,
    labels: Whole,
    before: Whole,
    after: Whole,
    *,
    group_count: int,
    class_count: int = 2,
) -> Numbers:
    """Count rows by group, label, and prediction before and after a repair.

    Args:
        groups: ``(rows,)``, as in :func:`confusion`.
        labels: ``(rows,)``.
        before: ``(rows,)`` predictions of the one network.
        after: ``(rows,)`` predictions of the other for the same rows.
        group_count: how many groups there are.
        class_count: how many classes there are.

    Returns:
        ``(groups, labels, before, after)``; summed over one of the last two axes it is the
        table of :func:`confusion` of the other network.
    """
    shape = (group_count, class_count, class_count, class_count)
    return tabulated((groups, labels, before, after), shape, None)


def calibration(
    groups: Whole,
    labels: Whole,
    scores: Numbers,
    *,
    group_count: int,
    weights: Numbers | None = None,
) -> Numbers:
    """Count negatives and positives, and sum scores, by group and bin of the score.

    Args:
        groups: ``(rows,)``.
        labels: ``(rows,)`` 0 or 1.
        scores: ``(rows,)`` probability of the positive label, in [0, 1].
        group_count: how many groups there are.
        weights: ``(rows,)`` what each row counts, 1 by default.

    Returns:
        ``(groups, bins, 3)``: negatives, positives, sum of the scores.
    """
    bins = np.minimum((scores * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    shape = (group_count, CALIBRATION_BINS, 2)
    counts = tabulated((groups, bins, labels), shape, weights)
    scored = scores if weights is None else scores * weights
    sums = tabulated((groups, bins), shape[:2], scored)
    return np.concatenate([counts, sums[..., None]], axis=-1)


def one_vs_rest(counts: Numbers) -> Numbers:
    """Return one table of two classes for each class.

    Args:
        counts: ``(..., groups, labels, predictions)``.

    Returns:
        ``(..., classes, groups, 2, 2)``, of which index 1 is the class and 0 all others.
    """
    rows = np.moveaxis(counts, -3, 0)  # groups first, so that what follows works on classes
    hits = np.diagonal(rows, axis1=-2, axis2=-1)
    labeled, predicted = rows.sum(axis=-1), rows.sum(axis=-2)
    total = labeled.sum(axis=-1, keepdims=True)
    missed, alarms = labeled - hits, predicted - hits
    cells = np.stack([total - hits - missed - alarms, alarms, missed, hits], axis=-1)
    tables = cells.reshape(*cells.shape[:-1], 2, 2)  # (groups, ..., classes, 2, 2)
    return np.moveaxis(tables, 0, -3)


def tabulated(
    places: tuple[Whole, ...], shape: tuple[int, ...], weights: Numbers | None
) -> Numbers:
    """Return how many rows, or what weight, fall on each place of a table of that shape."""
    flat = np.ravel_multi_index(places, shape)
    found = np.bincount(flat, weights=weights, minlength=int(np.prod(shape)))
    return found.reshape(shape).astype(np.float64)
