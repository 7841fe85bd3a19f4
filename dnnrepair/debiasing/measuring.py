"""What is measured of a network before and after a repair, on each part of the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dnnrepair.auditing.answers import answering
from dnnrepair.auditing.individual import individual
from dnnrepair.auditing.network import Network
from dnnrepair.fairness.measure import Plan, measure
from dnnrepair.fairness.responses import Asking

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from dnnrepair.debiasing.opening import Opened
    from dnnrepair.debiasing.parts import Part
    from dnnrepair.debiasing.request import DebiasRequest
    from dnnrepair.fairness_report import Individual, Measurement

_FEW_DRAWS = 200  # of the bootstrap, for parts that do not judge


def measurements(
    request: DebiasRequest, opened: Opened, tensors: Mapping[str, Tensor] | None
) -> tuple[Measurement, ...]:
    """Return what is measured on each part, the one that judges first.

    Args:
        request: says how.
        opened: the network and its rows.
        tensors: new values of parameters, None for the untouched network.
    """
    parts = (opened.test, opened.select, opened.repair)
    return tuple(measured(request, opened, part, tensors) for part in parts)


def measured(
    request: DebiasRequest, opened: Opened, part: Part, tensors: Mapping[str, Tensor] | None
) -> Measurement:
    """Return what is measured on one part."""
    names = tuple(tensors) if tensors else ()
    responses = Asking.of(opened.network.subject, part.cohort, names).responses(tensors)
    plan = Plan(
        gates=request.gates,
        draws=request.draws if part is opened.test else min(request.draws, _FEW_DRAWS),
        seed=request.seed,
        intersect=request.intersect,
        gate_intersections=request.gate_intersections,
        same_as_label=opened.same,
    )
    return measure(opened.rows(part, responses), plan, part.cohort.name)


def individuals(
    request: DebiasRequest, opened: Opened, tensors: Mapping[str, Tensor] | None
) -> Iterator[Individual]:
    """Yield what becomes of single rows that judge when one attribute alone is changed."""
    network = Network(
        subject=opened.network.subject,
        batch_size=opened.network.batch_size,
        tensors=tensors or {},
    )
    table = opened.test.table
    answer = answering(network, opened.order, opened.classes, request, table.name)
    for one in opened.test.attributes:
        rng = np.random.default_rng(request.seed)
        yield individual(table, one, opened.encoder, answer, rng)
