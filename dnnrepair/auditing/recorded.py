"""Predictions that a table holds; no network is loaded, nor what runs networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dnnrepair.auditing.tables import column
from dnnrepair.errors import DataError
from dnnrepair.fairness.labels import (
    class_numbers,
    finite_numbers,
    is_regression,
    positive_last,
    probabilities,
)
from dnnrepair.fairness.metric import TWO_CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dnnrepair.auditing.individual import Answer
    from dnnrepair.auditing.request import AuditRequest
    from dnnrepair.auditing.tables import AuditTable

    Numbers = NDArray[np.float64]

SCORE, PREDICTION = "score", "pred"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """Labels and predictions of all rows.

    Attributes:
        labels: ``(rows,)`` class numbers or values.
        predictions: ``(rows,)`` likewise.
        classes: values of the label, of two the positive one last; empty for a regression.
        scores: ``(rows,)`` probability of the positive class of two, None if unknown.
        answer: puts other inputs to the network, None if there is none.
        notes: what was done, a sentence each.
    """

    labels: NDArray[Any]
    predictions: NDArray[Any]
    classes: tuple[str, ...] = ()
    scores: Numbers | None = None
    answer: Answer | None = None
    notes: tuple[str, ...] = ()


def from_file(table: AuditTable, request: AuditRequest) -> Answers:
    """Return the labels and predictions that a table holds in ``label`` and ``pred`` or ``score``.

    Raises:
        DataError: if they are missing or do not fit together.
    """
    labels = column(table, request.label)
    held = set(table.frame.columns)
    if not held & {SCORE, PREDICTION}:
        message = (
            f"{table.name} has neither a column {SCORE!r} (probabilities) nor {PREDICTION!r} "
            f"(decisions); it has {', '.join(list(map(str, table.frame.columns))[:8])}"
        )
        raise DataError(message)
    if regresses(table, request):
        name = PREDICTION if PREDICTION in held else SCORE
        return Answers(
            labels=finite_numbers(labels, request.label, table.name),
            predictions=finite_numbers(table.frame[name], name, table.name),
        )
    _, found = class_numbers(labels, request.label, table.name, request.classes)
    classes = positive_last(found, request.positive, request.label, table.name)
    numbers, _ = class_numbers(labels, request.label, table.name, classes)
    scores = None
    if SCORE in held and len(classes) == TWO_CLASSES:
        scores = probabilities(table.frame[SCORE], SCORE, table.name)
    if PREDICTION in held:
        decided, _ = class_numbers(table.frame[PREDICTION], PREDICTION, table.name, classes)
    elif scores is not None:
        decided = (scores >= request.threshold).astype(np.int64)
    else:
        message = (
            f"{table.name}: one score cannot tell {len(classes)} classes apart; give decisions in "
            f"a column {PREDICTION!r}"
        )
        raise DataError(message)
    return Answers(labels=numbers, predictions=decided, classes=classes, scores=scores)


def regresses(table: AuditTable, request: AuditRequest) -> bool:
    """Tell whether labels are values to be predicted, as the user said or as they look."""
    if request.task is not None:
        return request.task == "regress"
    return request.positive is None and is_regression(table.frame[request.label])
