"""From what the user asks to a fairness report."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dnnrepair.auditing.cautions import same_as_label
from dnnrepair.auditing.individual import individual
from dnnrepair.auditing.recorded import from_file
from dnnrepair.auditing.reporting import reported
from dnnrepair.auditing.tables import AuditTable, column, joined, open_table
from dnnrepair.errors import DataError, SettingError
from dnnrepair.fairness.columns import attribute
from dnnrepair.fairness.labels import row_weights
from dnnrepair.fairness.measure import Plan, measure
from dnnrepair.fairness.rows import Rows
from dnnrepair.fairness_report import Individual

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.auditing.encoding import Encoder
    from dnnrepair.auditing.recorded import Answers
    from dnnrepair.auditing.request import AuditRequest
    from dnnrepair.fairness.rows import Attribute
    from dnnrepair.fairness_report import FairnessReport


def audit(request: AuditRequest) -> FairnessReport:
    """Measure how a network, or a table of predictions, treats groups.

    Raises:
        DnnRepairError: one of its kinds, with what, where and what to do next.
    """
    _check(request)
    progress = request.progress
    progress.stage("reading", None)
    table = _table(request)
    groups, table = grouped(table, request)
    progress.stage("predicting", None)
    answers, encoder = _answers(table, request)
    rows = _rows(table, groups, answers, request)
    progress.stage("measuring", None)
    same = same_as_label(rows)
    plan = Plan(
        gates=request.gates,
        draws=request.draws,
        seed=request.seed,
        intersect=request.intersect,
        gate_intersections=request.gate_intersections,
        same_as_label=same,
    )
    measured = measure(rows, plan)
    single = tuple(individuals(table, rows, answers, encoder, request))
    return reported(request, table, rows, measured, answers, single, encoder)


def _check(request: AuditRequest) -> None:
    if request.model is None and request.predictions is None:
        message = "nothing to audit: name a MODEL with --data, or a table with --predictions"
        raise SettingError(message)
    if request.model is not None and request.predictions is not None:
        message = (
            "both a MODEL and --predictions: leave one out; an audit has one source of answers"
        )
        raise SettingError(message)
    if request.model is not None and request.data is None:
        message = f"{request.model} needs rows to answer: name a table with --data"
        raise SettingError(message)
    unused = [name for name in ("preprocess", "features", "arch") if getattr(request, name)]
    if request.predictions is not None and unused:
        message = f"--{unused[0]} says how a MODEL reads its rows; --predictions asks none"
        raise SettingError(message)
    sensitive = request.grouping.sensitive
    if not sensitive:
        message = "name the columns of the groups with --sensitive, such as --sensitive sex,race"
        raise SettingError(message)
    for option, known in (
        ("--reference", request.grouping.reference),
        ("--bins", request.grouping.bins),
    ):
        for name in known:
            if name not in sensitive:
                message = f"{option} {name}: this column is not named with --sensitive"
                raise SettingError(message)
    if len(set(sensitive)) < len(sensitive):
        message = f"--sensitive {','.join(sensitive)} names a column twice"
        raise SettingError(message)


def _answers(table: AuditTable, request: AuditRequest) -> tuple[Answers, Encoder | None]:
    """Return labels and predictions, and what makes inputs of rows where a network answers."""
    if request.predictions is not None:
        return from_file(table, request), None
    from dnnrepair.auditing.answers import from_network  # comes with torch
    from dnnrepair.auditing.encoding import encoder as encoder_of

    encoder = encoder_of(request.preprocess, request.features, left_out(request))
    return from_network(table, request, encoder), encoder


def _table(request: AuditRequest) -> AuditTable:
    if request.predictions is None:
        assert request.data is not None  # noqa: S101 - checked
        return open_table(request.data, request.label)
    predictions = open_table(request.predictions, request.label)
    if request.data is None:
        return predictions
    return joined(open_table(request.data, request.label), predictions, request.identity)


def grouped(table: AuditTable, request: AuditRequest) -> tuple[tuple[Attribute, ...], AuditTable]:
    """Return the attributes and the table, both without rows that are to be dropped."""
    column(table, request.label)
    names = request.grouping.sensitive
    found = [attribute(table.frame, name, request.grouping, table.name) for name in names]
    kept = np.all([one.codes >= 0 for one in found], axis=0)
    if request.weight is not None:
        kept &= row_weights(column(table, request.weight), request.weight, table.name) > 0
    places = np.flatnonzero(kept)
    if not len(places):
        message = f"{table.name}: no row is left once those without {', '.join(names)} are dropped"
        raise DataError(message)
    if len(places) == len(table.frame):
        return tuple(found), table
    left = len(table.frame) - len(places)
    why = " or ".join((*names, *(["weight"] if request.weight is not None else [])))
    note = f"{left:,} rows without {why} were dropped"
    return tuple(one.at(places) for one in found), replace(table.at(places), notes=(note,))


def left_out(request: AuditRequest) -> frozenset[str]:
    """Return the columns that are no input of the network."""
    return frozenset(n for n in (request.label, request.weight, request.identity) if n)


def _rows(
    table: AuditTable, groups: tuple[Attribute, ...], answers: Answers, request: AuditRequest
) -> Rows:
    weights = None
    if request.weight is not None:
        weights = row_weights(table.frame[request.weight], request.weight, table.name)
    return Rows(
        attributes=groups,
        labels=answers.labels,
        predictions=answers.predictions,
        classes=answers.classes,
        scores=answers.scores,
        weights=weights,
    )


def individuals(
    table: AuditTable,
    rows: Rows,
    answers: Answers,
    encoder: Encoder | None,
    request: AuditRequest,
) -> Iterator[Individual]:
    """Yield what becomes of single rows when one attribute alone is changed."""
    rng = np.random.default_rng(request.seed)
    for one in rows.attributes:
        if answers.answer is None or encoder is None:
            reason = "predictions come from a file; it takes a network to ask again"
            yield Individual(attribute=one.name, reason=reason)
        else:
            yield individual(table, one, encoder, answers.answer, rng)
