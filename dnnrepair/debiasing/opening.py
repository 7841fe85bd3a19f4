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
from dnnrepair.errors import DataError, SettingError
from dnnrepair.fairness.cohort import SHARES, Cohort, overlap, parted
from dnnrepair.fairness.labels import class_numbers, positive_last
from dnnrepair.fairness.metric import TWO_CLASSES
from dnnrepair.fairness.rows import Rows
from dnnrepair.fitness.disparity import Disparity
from dnnrepair.observation import Task

if TYPE_CHECKING:
    from dnnrepair.auditing.encoding import Encoder
    from dnnrepair.auditing.network import Network
    from dnnrepair.auditing.tables import AuditTable
    from dnnrepair.debiasing.request import DebiasRequest
    from dnnrepair.fairness.responses import Responses
    from dnnrepair.fairness.rows import Attribute


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """Some rows, as the search and as the report see them.

    Attributes:
        cohort: grouped by the attribute that is repaired.
        attributes: all, for the report.
        labels: ``(n,)`` class numbers of the report, of two the positive one last.
        table: the rows.
    """

    cohort: Cohort
    attributes: tuple[Attribute, ...]
    labels: np.ndarray
    table: AuditTable


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
    classes = positive_last(order, request.positive, request.label, table.name)
    if len(classes) > TWO_CLASSES and request.positive is None:
        message = (
            f"label {request.label!r} of {table.name} has {len(classes)} values; name "
            "the favorable one with --positive"
        )
        raise SettingError(message)
    favorable = request.positive if len(classes) > TWO_CLASSES else classes[-1]
    positive = order.index(str(favorable).strip())

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
    excluded = _too_small(parts[:2], request)
    parts = tuple(_without(one, excluded) for one in parts)
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


def _rows_of(part: Part, classes: tuple[str, ...]) -> Rows:
    return Rows(
        attributes=part.attributes, labels=part.labels, predictions=part.labels, classes=classes
    )


def _parts(
    request: DebiasRequest, whole: Part, part: object, groups: tuple[Attribute, ...]
) -> tuple[tuple[Part, ...], int]:
    """Return the three parts, and how many rows judge that the others hold, too."""
    if request.test_data is None:
        places = _split(whole.cohort, request.seed, SHARES)
        return tuple(_at(whole, one, name) for one, name in zip(places, _NAMES, strict=True)), 0
    table = open_table(request.test_data, request.label)
    others, table = grouped(table, request)
    known = {one.name: one for one in groups}
    aligned = tuple(_aligned(one, known[one.name], table.name) for one in others)
    how = encoder_of(request.preprocess, request.features, left_out(request))
    test = part(table, aligned, inputs_of(table, how))  # type: ignore[operator]
    test = replace(test, cohort=replace(test.cohort, name="test"))
    shared = overlap(whole.cohort, test.cohort)
    if shared and not request.allow_overlap:
        message = (
            f"SPLIT_OVERLAP: {shared} of {len(test.cohort)} rows of {request.test_data} are in "
            f"{request.data}, too; judge on rows that the repair has not seen, or say "
            "--allow-overlap (the report is then marked as optimistic)"
        )
        raise DataError(message)
    first, second = _split(whole.cohort, request.seed, SHARES[:2])
    return (_at(whole, first, "repair"), _at(whole, second, "select"), test), shared


_NAMES = ("repair", "select", "test")
_AMONG = (("tpr", 1), ("ppv", 1), ("fpr", 0))  # rates, and the label whose rows they need


def _split(cohort: Cohort, seed: int, shares: tuple[float, ...]) -> list[np.ndarray]:
    """Return places of the parts; identical rows are kept together."""
    counted = replace(
        cohort,
        samples=ArraySamples(
            (torch.arange(len(cohort)),), cohort.samples.targets, cohort.samples.name
        ),
        twins=(),
    )
    found = [part for part in parted(counted, seed, shares) if part is not None]
    places = [part.samples.inputs[0].numpy() for part in found]
    owner = np.empty(len(cohort), dtype=np.int64)
    for number, one in enumerate(places):
        owner[one] = number
    flat = cohort.samples.inputs[0].reshape(len(cohort), -1).double().numpy()
    keys = np.concatenate([flat, cohort.classes[:, None], cohort.groups[:, None]], axis=1)
    _, first, again = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    owner = owner[first][again.reshape(-1)]
    return [np.flatnonzero(owner == number) for number in range(len(places))]


def _at(part: Part, places: np.ndarray, name: str) -> Part:
    return Part(
        cohort=part.cohort.at(torch.from_numpy(places), name),
        attributes=tuple(one.at(places) for one in part.attributes),
        labels=part.labels[places],
        table=part.table.at(places),
    )


def _aligned(found: Attribute, known: Attribute, name: str) -> Attribute:
    """Return an attribute with the levels of another, in their order.

    Raises:
        DataError: it has a level that the other has not.
    """
    new = [level for level in found.levels if level not in known.levels]
    if new:
        count = int(np.isin(found.codes, [found.levels.index(one) for one in new]).sum())
        message = (
            f"{name}: column {found.name!r} has {count} rows with {new[0]!r}, a level that "
            "the data for the repair do not have; add rows of it there, or leave it out here"
        )
        raise DataError(message)
    places = np.array([known.levels.index(level) for level in found.levels])
    return replace(found, levels=known.levels, codes=places[found.codes], reference=known.reference)


def _too_small(parts: tuple[Part, ...], request: DebiasRequest) -> tuple[str, ...]:
    """Return the groups with too few rows in a part that repairs or selects.

    Too few of a label, where the objective compares rates among its rows: where groups are the
    label itself, each lacks one, and their accuracies can be compared all the same.
    """
    gates, found = request.gates, []
    rates = Disparity.named(request.objective).rates or ("tpr", "fpr")
    labels = [label for name, label in _AMONG if name in rates]
    for place, level in enumerate(parts[0].cohort.levels):
        for part in parts:
            cohort = part.cohort
            inside = cohort.groups == place
            rows = [int((cohort.labels[inside] == label).sum()) for label in labels]
            if inside.sum() < gates.min_group or min(rows, default=gates.min_cell) < gates.min_cell:
                found.append(level)
                break
    return tuple(found)


def _without(part: Part, levels: tuple[str, ...]) -> Part:
    """Return a part whose rows of some levels belong to no group that counts."""
    if not levels:
        return part
    cohort = part.cohort
    kept = [level for level in cohort.levels if level not in levels]
    places = np.array([kept.index(one) if one in kept else -1 for one in cohort.levels])
    groups = places[cohort.groups]
    return replace(part, cohort=replace(cohort, groups=groups, levels=tuple(kept)))


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
