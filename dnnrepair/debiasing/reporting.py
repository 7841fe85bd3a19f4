"""What a fairness repair found, put together as a report."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from dnnrepair import __version__
from dnnrepair.auditing.cautions import cautions
from dnnrepair.debiasing.baselines import baselines
from dnnrepair.debiasing.card import patch_card
from dnnrepair.debiasing.cautions import left_out_groups, repair_cautions, repair_notes
from dnnrepair.debiasing.inputs import inputs_of
from dnnrepair.debiasing.measuring import individuals, measured, measurements
from dnnrepair.fairness_report import (
    FairnessReport,
    Individual,
    Measurement,
    Objective,
    Outcome,
    ParetoPoint,
    Search,
    Tool,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.debiasing.judging import Judgement
    from dnnrepair.debiasing.opening import Opened
    from dnnrepair.debiasing.request import DebiasRequest
    from dnnrepair.fairness.case import Case
    from dnnrepair.fairness.repair import Repaired
    from dnnrepair.patch import Patch


def reported(
    request: DebiasRequest,
    opened: Opened,
    case: Case,
    found: Repaired,
    judgement: Judgement,
    patch: Patch | None,
) -> FairnessReport:
    """Return all that a repair found as a report."""
    candidate = found.chosen.candidate if found.chosen is not None else None
    before = measurements(request, opened, None)
    single = tuple(individuals(request, opened, None))
    after: tuple[Measurement, ...] = ()
    single_after: tuple[Individual, ...] = ()
    if candidate is not None:
        after = measurements(request, opened, candidate.tensors)
        single_after = tuple(individuals(request, opened, candidate.tensors))
    card = patch_card(opened, patch)
    others, skipped = baselines(case, opened.test.cohort) if request.baselines else ((), ())
    return FairnessReport(
        **_common(request, opened, before, single),  # type: ignore[arg-type]
        after=after,
        individual_after=single_after,
        delta=judgement.delta,
        objective=Objective(
            id=request.objective, attribute=case.repair.attribute, settings=_settings(request)
        ),
        constraints=judgement.constraints,
        patch=card,
        search=Search(
            method=request.search,
            evaluations=found.tried,
            seconds=found.seconds,
            history=found.history,
        ),
        pareto=tuple(_pareto(found, judgement)),
        fairea=judgement.fairea,
        flips=judgement.flips,
        baselines=others,
        cautions=(
            *cautions(opened.rows(opened.test, judgement.before.responses), before[0], ()),
            *repair_cautions(opened, found, judgement, card),
        ),
        skipped=skipped,
        notes=(*opened.test.table.notes, found.reason, *repair_notes(request, opened)),
        outcome=judgement.outcome,
    )


def not_judged(request: DebiasRequest, opened: Opened) -> FairnessReport:
    """Return the report where fewer than two groups have rows enough to repair for."""
    before = (measured(request, opened, opened.test, None),)
    single = tuple(individuals(request, opened, None))
    reason = (
        f"fewer than two groups of {opened.repair.cohort.attribute} have rows enough "
        f"(too small: {', '.join(opened.excluded)}); give more data, or --merge-small"
    )
    return FairnessReport(
        **_common(request, opened, before, single),  # type: ignore[arg-type]
        cautions=tuple(left_out_groups(opened)),
        outcome=Outcome(status="inconclusive", exit_code=3, reasons=(reason,)),
    )


def _common(
    request: DebiasRequest,
    opened: Opened,
    before: tuple[Measurement, ...],
    single: tuple[Individual, ...],
) -> dict[str, object]:
    return {
        "tool": Tool(version=__version__, torch=version("torch"), numpy=np.__version__),
        "command": "debias",
        "seed": request.seed,
        "draws": request.draws,
        "gate_by": request.gates.by,
        "min_group": request.gates.min_group,
        "min_cell": request.gates.min_cell,
        "inputs": inputs_of(request, opened, single),
        "before": before,
        "individual": single,
    }


def _settings(request: DebiasRequest) -> tuple[str, ...]:
    kept = "balanced accuracy" if request.limits.balanced else "F1"
    return (
        "soft share = 0.5",
        f"search = {request.search}",
        f"layers = {','.join(request.layers)}",
        f"max accuracy drop = {request.limits.max_acc_drop:g}",
        f"min {kept} ratio = {request.limits.min_f1_ratio:g}",
    )


def _pareto(found: Repaired, judgement: Judgement) -> Iterator[ParetoPoint]:
    for point, test in zip(found.points, judgement.points, strict=True):
        yield ParetoPoint(
            budget=point.budget,
            select_accuracy=point.select.accuracy,
            select_gap=point.select.gap,
            test_accuracy=test.accuracy,
            test_gap=test.gap,
            chosen=point.chosen,
        )
