"""From a table to the parts that repair, select and judge."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from dnnrepair.auditing.answers import output_order
from dnnrepair.auditing.audit import grouped, left_out
from dnnrepair.auditing.cautions import same_as_label
from dnnrepair.auditing.encoding import encoder as encoder_of
from dnnrepair.auditing.encoding import inputs_of
from dnnrepair.auditing.network import open_network
from dnnrepair.auditing.tables import column, open_table
from dnnrepair.data import ArraySamples
from dnnrepair.data.samples import as_tensor
from dnnrepair.debiasing.parts import Part, aligned, places_of_parts, taken, too_small, without
from dnnrepair.errors import DataError, SettingError
from dnnrepair.fairness.cohort import SHARES, Cohort, overlap
from dnnrepair.fairness.columns import suggestion
from dnnrepair.fairness.labels import class_numbers, positive_last
from dnnrepair.fairness.metric import TWO_CLASSES
from dnnrepair.fairness.rows import Rows
from dnnrepair.observation import Task

if TYPE_CHECKING:
    from dnnrepair.auditing.encoding import Encoder
    from dnnrepair.auditing.network import Network
    from dnnrepair.auditing.tables import AuditTable
    from dnnrepair.debiasing.request import DebiasRequest
    from dnnrepair.fairness.responses import Responses
    from dnnrepair.fairness.rows import Attribute


@dataclass(frozen=True, kw_only=True, eq=False)
class Opened:
    """A network with its rows.

    Attributes:
        network: that is to be repaired.
        encoder: makes inputs of rows.
        classes: values of the label, of two the positive one last.
        order: values in the order of the network's outputs.
        repair, select, test: the parts.
        shared: rows that judge and are also among the others.
        excluded: groups that are too small to be repaired for.
        same: attributes that are the label itself.
    """

    network: Network
    encoder: Encoder
    classes: tuple[str, ...]
    order: tuple[str, ...]
    repair: Part
    select: Part
    test: Part
    shared: int
    excluded: tuple[str, ...]
    same: frozenset[str]

    def rows(self, part: Part, responses: Responses) -> Rows:
        """Return rows with what the network decides for them."""
        places = np.array([self.classes.index(one) for one in self.order])
        return Rows(
            attributes=part.attributes,
            labels=part.labels,
            predictions=places[responses.predicted],
            classes=self.classes,
            scores=responses.scores if len(self.classes) == TWO_CLASSES else None,
        )


def open_parts(request: DebiasRequest) -> Opened:
    """Read the tables, load the network, and split the rows.

    Raises:
        DnnRepairError: one of its kinds, with what, where and what to do next.
    """
    assert request.model is not None  # noqa: S101 - checked by the driver
    assert request.data is not None  # noqa: S101
    table = open_table(request.data, request.label)
    groups, table = grouped(table, request)
    how = encoder_of(request.preprocess, request.features, left_out(request))
    inputs = inputs_of(table, how)
    network = open_network(request, inputs, Task.CLASSIFY)
    _, present = class_numbers(
        column(table, request.label), request.label, table.name, request.classes
    )
    order = output_order(present, network, request, table.name)
    classes = _classes(order, request, table.name)
    positive = order.index(request.positive.strip() if request.positive else classes[-1])

    def part(whole: AuditTable, attributes: tuple[Attribute, ...], values: np.ndarray) -> Part:
        numbers, _ = class_numbers(whole.frame[request.label], request.label, whole.name, order)
        labels, _ = class_numbers(whole.frame[request.label], request.label, whole.name, classes)
        first = attributes[0]
        samples = ArraySamples((as_tensor(values),), torch.from_numpy(numbers), whole.name)
        cohort = Cohort(
            name="data",
            samples=samples,
            groups=first.codes.astype(np.int64),
            levels=first.levels,
            positive=positive,
            attribute=first.name,
            twins=_twins(whole, first, how, values, samples) if request.objective == "flip" else (),
        )
        return Part(cohort=cohort, attributes=attributes, labels=labels, table=whole)

    whole = part(table, groups, inputs)
    same = same_as_label(_rows_of(whole, classes))
    parts, shared = _parts(request, whole, part, groups)
    excluded = too_small(parts[:2], request)
    parts = tuple(without(one, excluded) for one in parts)
    return Opened(
        network=network,
        encoder=how,
        classes=classes,
        order=order,
        repair=parts[0],
        select=parts[1],
        test=parts[2],
        shared=shared,
        excluded=excluded,
        same=same,
    )


def _classes(order: tuple[str, ...], request: DebiasRequest, name: str) -> tuple[str, ...]:
    """Return the classes in the report's order, of two the positive one last.

    Raises:
        DataError: there is no such value as is named favorable.
        SettingError: it must be named.
    """
    if len(order) <= TWO_CLASSES:
        return positive_last(order, request.positive, request.label, name)
    if request.positive is None:
        message = (
            f"label {request.label!r} of {name} has {len(order)} values; name the favorable one "
            "with --positive"
        )
        raise SettingError(message)
    if request.positive.strip() not in order:
        message = (
            f"{name}: label {request.label!r} never has the value {request.positive!r} given as "
            f"--positive; {suggestion(request.positive, order)}"
        )
        raise DataError(message)
    return order


def _rows_of(part: Part, classes: tuple[str, ...]) -> Rows:
    return Rows(
        attributes=part.attributes, labels=part.labels, predictions=part.labels, classes=classes
    )


def _parts(
    request: DebiasRequest, whole: Part, part: object, groups: tuple[Attribute, ...]
) -> tuple[tuple[Part, ...], int]:
    """Return the three parts, and how many rows judge that the others hold, too."""
    if request.test_data is None:
        places = places_of_parts(whole.cohort, request.seed, SHARES)
        return tuple(taken(whole, one, name) for one, name in zip(places, _NAMES, strict=True)), 0
    table = open_table(request.test_data, request.label)
    others, table = grouped(table, request)
    known = {one.name: one for one in groups}
    same = tuple(aligned(one, known[one.name], table.name) for one in others)
    how = encoder_of(request.preprocess, request.features, left_out(request))
    test = part(table, same, inputs_of(table, how))  # type: ignore[operator]
    test = replace(test, cohort=replace(test.cohort, name="test"))
    shared = overlap(whole.cohort, test.cohort)
    if shared and not request.allow_overlap:
        message = (
            f"SPLIT_OVERLAP: {shared} of {len(test.cohort)} rows of {request.test_data} are in "
            f"{request.data}, too; judge on rows that the repair has not seen, or say "
            "--allow-overlap (the report is then marked as optimistic)"
        )
        raise DataError(message)
    first, second = places_of_parts(whole.cohort, request.seed, SHARES[:2])
    return (taken(whole, first, "repair"), taken(whole, second, "select"), test), shared


_NAMES = ("repair", "select", "test")


def _twins(
    table: AuditTable, attribute: Attribute, how: Encoder, inputs: np.ndarray, own: ArraySamples
) -> tuple[ArraySamples, ...]:
    """Return the rows with each value of the attribute; none if it is no input."""
    from dnnrepair.auditing.individual import raw_levels, rewritten

    found = []
    if table.inputs is not None:
        return ()
    for raw in raw_levels(table.frame, attribute):
        other = how.encode(rewritten(table.frame, attribute, raw), table.name)
        if not np.array_equal(other, inputs):
            found.append(ArraySamples((as_tensor(other),), own.targets, f"{own.name}, as {raw}"))
    return tuple(found)
