"""What a repair was measured on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.auditing.reporting import digest_of, sensitive_of
from dnnrepair.fairness.metric import TWO_CLASSES
from dnnrepair.fairness_report import InputFile, Inputs

if TYPE_CHECKING:
    from dnnrepair.debiasing.opening import Opened
    from dnnrepair.debiasing.request import DebiasRequest
    from dnnrepair.fairness_report import Individual


def inputs_of(request: DebiasRequest, opened: Opened, single: tuple[Individual, ...]) -> Inputs:
    """Return what was read; ``single`` tells which attributes the network reads."""
    roles = (("model", request.model), ("repair", request.data), ("test", request.test_data))
    return Inputs(
        files=tuple(
            InputFile(role=role, path=name, sha256=digest_of(name), rows=_count(opened, role))
            for role, name in roles
            if name is not None
        ),
        task="binary" if len(opened.classes) == TWO_CLASSES else "multiclass",
        label=request.label,
        classes=opened.classes,
        positive=opened.order[opened.repair.cohort.positive],
        threshold=0.5,
        sensitive=sensitive_of(opened.test.attributes, single, crossed=request.intersect),
    )


def _count(opened: Opened, role: str) -> int | None:
    if role == "model":
        return None
    if role == "test":
        return len(opened.test.cohort)
    own = len(opened.repair.cohort) + len(opened.select.cohort)
    return own + (
        len(opened.test.cohort) if opened.test.table.name == opened.repair.table.name else 0
    )
