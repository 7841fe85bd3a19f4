"""What a network answers to the rows of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dnnrepair.auditing.encoding import inputs_of
from dnnrepair.auditing.network import open_network
from dnnrepair.auditing.recorded import Answers, regresses
from dnnrepair.auditing.tables import column
from dnnrepair.errors import DataError
from dnnrepair.fairness.labels import class_numbers, finite_numbers, positive_last
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


def from_network(table: AuditTable, request: AuditRequest, encoder: Encoder) -> Answers:
    """Return labels, and what the network predicts.

    Raises:
        DnnRepairError: one of its kinds.
    """
    labels = column(table, request.label)
    inputs = inputs_of(table, encoder)
    if regresses(table, request):
        network = open_network(request, inputs, Task.REGRESS)
        return _values(table, request, network, inputs)
    _, present = class_numbers(labels, request.label, table.name, request.classes)
    network = open_network(request, inputs, Task.CLASSIFY)
    order = output_order(present, network, request, table.name)
    found = order if request.classes or len(order) != len(present) else present
    classes = positive_last(found, request.positive, request.label, table.name)
    numbers, _ = class_numbers(labels, request.label, table.name, classes)
    answer = answering(network, order, classes, request, table.name)
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


def answering(
    network: Network,
    order: tuple[str, ...],
    classes: tuple[str, ...],
    request: AuditRequest,
    name: str,
) -> Answer:
    """Return what puts inputs to a network: its decisions, and the share of each class.

    Args:
        network: that is asked.
        order: classes in the order of its outputs.
        classes: in the order of the answers, of two the positive one last.
        request: says the label and the threshold.
        name: of the table.
    """
    places = [order.index(one) for one in classes]

    def answer(asked: NDArray[Any]) -> tuple[NDArray[Any] | None, Numbers]:
        shares = network.probabilities(asked, name)
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

    return answer


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
