"""What an audit found, put together as a report."""

from __future__ import annotations

from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dnnrepair import __version__
from dnnrepair.auditing.cautions import cautions, leaking
from dnnrepair.fairness.gates import outcome
from dnnrepair.fairness.rows import intersections
from dnnrepair.fairness_report import (
    FairnessReport,
    InputFile,
    Inputs,
    SensitiveAttribute,
    Tool,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dnnrepair.auditing.encoding import Encoder
    from dnnrepair.auditing.recorded import Answers
    from dnnrepair.auditing.request import AuditRequest
    from dnnrepair.auditing.tables import AuditTable
    from dnnrepair.fairness.rows import Attribute, Rows
    from dnnrepair.fairness_report import Individual, Measurement

_BLOCK = 1 << 20  # bytes that are hashed at a time
_IMPLAUSIBLE = (
    "only the attribute itself is rewritten, so that some rows become implausible (a wife who is "
    "male); what the network infers from other columns does not show"
)


def reported(
    request: AuditRequest,
    table: AuditTable,
    rows: Rows,
    measured: Measurement,
    answers: Answers,
    single: tuple[Individual, ...],
    encoder: Encoder | None,
) -> FairnessReport:
    """Return all that an audit found as a report."""
    leaks: tuple[str, ...] = ()
    if encoder is not None and rows.task == "binary" and table.inputs is None:
        names = [n for n in encoder.columns(table.frame) if n != request.label]
        rng = np.random.default_rng(request.seed)
        leaks = tuple(leaking(table.frame, names, rows.labels, rng))
    return FairnessReport(
        tool=Tool(version=__version__, torch=_torch(request), numpy=np.__version__),
        seed=request.seed,
        draws=request.draws,
        gate_by=request.gates.by,
        min_group=request.gates.min_group,
        min_cell=request.gates.min_cell,
        inputs=_inputs(request, table, rows, single),
        before=(measured,),
        individual=single,
        cautions=tuple(cautions(rows, measured, leaks)),
        skipped=tuple(_skipped(rows, measured)),
        notes=(*table.notes, *answers.notes, *_notes(request, rows, single)),
        outcome=outcome(measured.disparities, request.gates),
    )


def _torch(request: AuditRequest) -> str:
    return version("torch") if request.model is not None else ""


def _inputs(
    request: AuditRequest, table: AuditTable, rows: Rows, single: tuple[Individual, ...]
) -> Inputs:
    roles = (("model", request.model), ("test", request.data), ("predictions", request.predictions))
    files = tuple(
        InputFile(
            role=role,
            path=name,
            sha256=digest_of(name),
            rows=None if role == "model" else len(table.frame),
        )
        for role, name in roles
        if name is not None
    )
    return Inputs(
        files=files,
        task=rows.task,
        label=request.label,
        classes=rows.classes,
        positive=rows.classes[-1] if rows.task == "binary" else "",
        threshold=request.threshold if rows.scores is not None else float("nan"),
        weight=request.weight or "",
        sensitive=sensitive_of(rows.attributes, single, crossed=request.intersect),
    )


def sensitive_of(
    attributes: tuple[Attribute, ...], single: Iterable[Individual], *, crossed: bool
) -> tuple[SensitiveAttribute, ...]:
    """Return what a report says of attributes.

    Args:
        attributes: of the rows.
        single: what is known of single rows, by attribute.
        crossed: tell of the pairs of attributes, too.
    """
    read = {one.attribute: one for one in single}
    pairs = tuple(intersections(attributes)) if crossed else ()
    return tuple(
        SensitiveAttribute(
            name=one.name,
            levels=one.levels,
            reference=one.levels[one.reference],
            is_model_input=_reads(read.get(one.name)),
            parts=one.parts,
        )
        for one in (*attributes, *pairs)
    )


def _reads(found: Individual | None) -> bool | None:
    """Tell whether the network reads an attribute, None if unknown."""
    if found is None or (found.reason and "no input" not in found.reason):
        return None
    return not found.reason


def digest_of(name: str) -> str:
    """Return the SHA-256 of a file, "" if there is none of that name."""
    path = Path(name)
    if not path.is_file():
        return ""
    found = sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def _skipped(rows: Rows, measured: Measurement) -> Iterator[str]:
    if rows.task == "binary" and rows.scores is None:
        yield "calibration: decisions are known, scores are not"
    if rows.task == "multiclass":
        yield "calibration and the Theil index: they are of two classes"
    for one in measured.disparities:
        if np.isnan(one.value):
            yield f"{one.title} by {one.attribute}: {one.reason}"
    for group in measured.groups:
        if not group.n:
            yield f"{group.attribute} = {group.level}: no rows"


def _notes(request: AuditRequest, rows: Rows, single: tuple[Individual, ...]) -> Iterator[str]:
    if request.grouping.merge_small:
        yield f"groups of fewer than {request.grouping.merge_small} rows were merged, as asked"
    for one in rows.attributes:
        if len(one.columns) > 1:
            yield f"{one.name} was put together from the columns {', '.join(one.columns)}"
    if request.weight is not None:
        yield f"rows were weighted by {request.weight}"
    if any(not one.reason for one in single):
        yield _IMPLAUSIBLE
