"""Where predictions come from: a file that holds them, or a network that is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dnnrepair.auditing.encoding import inputs_of
from dnnrepair.auditing.network import open_network
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
from dnnrepair.observation import Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dnnrepair.auditing.encoding import Encoder
    from dnnrepair.auditing.individual import Answer
    from dnnrepair.auditing.network import Network
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
    if _regresses(table, request):
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


def from_network(table: AuditTable, request: AuditRequest, encoder: Encoder) -> Answers:
    """Return labels, and what the network predicts.

    Raises:
        DnnRepairError: one of its kinds.
    """
    labels = column(table, request.label)
    inputs = inputs_of(table, encoder)
    if _regresses(table, request):
        network = open_network(request, inputs, Task.REGRESS)
        return _values(table, request, network, inputs)
    _, present = class_numbers(labels, request.label, table.name, request.classes)
    network = open_network(request, inputs, Task.CLASSIFY)
    order = output_order(present, network, request, table.name)
    found = order if request.classes or len(order) != len(present) else present
    classes = positive_last(found, request.positive, request.label, table.name)
    numbers, _ = class_numbers(labels, request.label, table.name, classes)
    places = [order.index(one) for one in classes]

    def answer(asked: NDArray[Any]) -> tuple[NDArray[Any] | None, Numbers]:
        shares = network.probabilities(asked, table.name)
        if shares.shape[1] != len(order):
            message = (
                f"the network answers {shares.shape[1]} classes, but label {request.label!r} has "
                f"{len(order)} values; name all classes in the network's order with --classes"
            )
            raise DataError(message)
        shares = shares[:, places]
        if len(classes) == TWO_CLASSES:
            return (shares[:, 1] >= request.threshold).astype(np.int64), shares
        return shares.argmax(axis=1), shares

    decided, shares = answer(inputs)
    assert decided is not None  # noqa: S101 - these are classes
    told = "" if request.classes else " (numbers or the alphabet; --classes changes it)"
    named = ", ".join(f"{place} = {one}" for place, one in enumerate(order[:10]))
    return Answers(
        labels=numbers,
        predictions=decided,
        classes=classes,
        scores=shares[:, 1] if len(classes) == TWO_CLASSES else None,
        answer=answer,
        notes=(f"outputs of the network: {named}{told}",),
    )


def _values(
    table: AuditTable, request: AuditRequest, network: Network, inputs: NDArray[Any]
) -> Answers:
    def answer(asked: NDArray[Any]) -> tuple[NDArray[Any] | None, Numbers]:
        return None, network.values(asked, table.name)[:, None]

    return Answers(
        labels=finite_numbers(table.frame[request.label], request.label, table.name),
        predictions=answer(inputs)[1][:, 0],
        answer=answer,
    )


def _regresses(table: AuditTable, request: AuditRequest) -> bool:
    if request.task is not None:
        return request.task == "regress"
    return request.positive is None and is_regression(table.frame[request.label])


def output_order(
    present: tuple[str, ...], network: Network, request: AuditRequest, name: str
) -> tuple[str, ...]:
    """Return the classes in the order of the network's outputs."""
    width = network.width if network.width > 1 else TWO_CLASSES
    if request.classes or len(present) == width:
        return present
    numbered = tuple(map(str, range(width)))
    if set(present) <= set(numbered):
        return numbered
    message = (
        f"{name}: the network answers {width} classes, but label {request.label!r} has "
        f"{len(present)} values; name all classes in the network's order with --classes"
    )
    raise DataError(message)
