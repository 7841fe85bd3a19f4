"""Rates of a group, each a share of hits among tries that are cells of its table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

ACCURACY: Final = "accuracy"
MACRO_RECALL: Final = "macro_recall"
# cells (label, prediction) of the table of two classes: those that are hits, those that are tries
_ALL = ((1, 1), (1, 1))
_CELLS: Final = {
    "selection_rate": (((0, 1), (0, 1)), _ALL),
    "base_rate": (((0, 0), (1, 1)), _ALL),
    "tpr": (((0, 0), (0, 1)), ((0, 0), (1, 1))),
    "fnr": (((0, 0), (1, 0)), ((0, 0), (1, 1))),
    "fpr": (((0, 1), (0, 0)), ((1, 1), (0, 0))),
    "tnr": (((1, 0), (0, 0)), ((1, 1), (0, 0))),
    "ppv": (((0, 0), (0, 1)), ((0, 1), (0, 1))),
    "npv": (((1, 0), (0, 0)), ((1, 0), (1, 0))),
}
NAMES: Final = (*_CELLS, ACCURACY)


def hits_and_tries(name: str, counts: Numbers) -> tuple[Numbers, Numbers]:
    """Return numerator and denominator of a rate.

    Args:
        name: one of :data:`NAMES`.
        counts: ``(..., labels, predictions)``; two of each, except for the accuracy.

    Returns:
        Two arrays ``(...)``.
    """
    if name == ACCURACY:
        return np.trace(counts, axis1=-2, axis2=-1), counts.sum(axis=(-2, -1))
    hits, tries = (np.asarray(cells, dtype=np.float64) for cells in _CELLS[name])
    return (counts * hits).sum(axis=(-2, -1)), (counts * tries).sum(axis=(-2, -1))


def rate(name: str, counts: Numbers) -> Numbers:
    """Return a rate ``(...)`` in [0, 1] of tables ``(..., labels, predictions)``.

    It is NaN where nothing was tried: a group without positives has no true positive rate,
    neither 0 nor 1.

    >>> rate("tpr", np.array([[[8.0, 2.0], [1.0, 3.0]], [[8.0, 2.0], [0.0, 0.0]]]))
    array([0.75,  nan])
    """
    if name == MACRO_RECALL:
        return _macro_recall(counts)
    hits, tries = hits_and_tries(name, counts)
    return share(hits, tries)


def share(hits: Numbers, tries: Numbers) -> Numbers:
    """Return hits over tries, NaN where nothing was tried."""
    undefined = np.full(np.shape(tries), np.nan)
    return np.asarray(np.divide(hits, tries, out=undefined, where=tries > 0))


def f1(counts: Numbers) -> Numbers:
    """Return the F1 score ``(...)`` of tables ``(..., 2, 2)``, NaN where it is undefined."""
    hits, wrong = counts[..., 1, 1], counts[..., 0, 1] + counts[..., 1, 0]
    return share(2 * hits, 2 * hits + wrong)


def _macro_recall(counts: Numbers) -> Numbers:
    """Return the mean recall of the classes that have rows, NaN if a class has none."""
    recalls = share(np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(axis=-1))
    return np.asarray(recalls.mean(axis=-1))
