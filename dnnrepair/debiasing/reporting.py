"""What a fairness repair found, put together as a report."""

from __future__ import annotations

from importlib.metadata import version
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from dnnrepair import __version__
from dnnrepair.auditing.cautions import cautions
from dnnrepair.auditing.reporting import digest_of
from dnnrepair.debiasing.baselines import baselines
from dnnrepair.fairness.measure import Plan, measure
from dnnrepair.fairness.responses import Asking
from dnnrepair.fairness.rows import intersections
from dnnrepair.fairness_report import (
    Caution,
    FairnessReport,
    InputFile,
    Inputs,
    Measurement,
    Objective,
    Outcome,
    ParetoPoint,
    PatchCard,
    Search,
    SensitiveAttribute,
    Tool,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from dnnrepair.debiasing.judging import Judgement
    from dnnrepair.debiasing.opening import Opened, Part
    from dnnrepair.debiasing.request import DebiasRequest
    from dnnrepair.fairness.case import Case
    from dnnrepair.fairness.repair import Repaired
    from dnnrepair.fairness.responses import Responses
    from dnnrepair.patch import Patch

_OPTIMISM = 2.0  # times the gap on the rows that repair, beyond which the reader is warned


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
    before = tuple(_measured(request, opened, one, None) for one in _parts(opened))
    after: tuple[Measurement, ...] = ()
    if candidate is not None:
        after = tuple(_measured(request, opened, one, candidate.tensors) for one in _parts(opened))
    others, skipped = baselines(case, opened.test.cohort) if request.baselines else ((), ())
    return FairnessReport(
        **_common(request, opened, before),  # type: ignore[arg-type]
        after=after,
        delta=judgement.delta,
        objective=Objective(
            id=request.objective, attribute=case.repair.attribute, settings=_settings(request)
        ),
        constraints=judgement.constraints,
        patch=_card(case, patch),
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
            *_cautions(opened, found, judgement, case),
        ),
        skipped=skipped,
        notes=(*opened.test.table.notes, found.reason, *_notes(request, opened)),
        outcome=judgement.outcome,
    )


def not_judged(request: DebiasRequest, opened: Opened) -> FairnessReport:
    """Return the report where fewer than two groups have rows enough to repair for."""
    before = (_measured(request, opened, opened.test, None),)
    reason = (
        f"fewer than two groups of {opened.repair.cohort.attribute} have rows enough "
        f"(too small: {', '.join(opened.excluded)}); give more data, or --merge-small"
    )
    return FairnessReport(
        **_common(request, opened, before),  # type: ignore[arg-type]
        cautions=tuple(_excluded(opened)),
        outcome=Outcome(status="inconclusive", exit_code=3, reasons=(reason,)),
    )


def _common(
    request: DebiasRequest, opened: Opened, before: tuple[Measurement, ...]
) -> dict[str, object]:
    return {
        "tool": Tool(version=__version__, torch=version("torch"), numpy=np.__version__),
        "command": "debias",
        "seed": request.seed,
        "draws": request.draws,
        "gate_by": request.gates.by,
        "min_group": request.gates.min_group,
        "min_cell": request.gates.min_cell,
        "inputs": _inputs(request, opened),
        "before": before,
    }


def _parts(opened: Opened) -> tuple[Part, ...]:
    """Return the parts, the one that judges first."""
    return opened.test, opened.select, opened.repair


def _measured(
    request: DebiasRequest, opened: Opened, part: Part, tensors: Mapping[str, Tensor] | None
) -> Measurement:
    names = tuple(tensors) if tensors else ()
    responses = Asking.of(opened.network.subject, part.cohort, names).responses(tensors)
    plan = Plan(
        gates=request.gates,
        draws=request.draws if part is opened.test else min(request.draws, 200),
        seed=request.seed,
        intersect=request.intersect,
        gate_intersections=request.gate_intersections,
        same_as_label=opened.same,
    )
    return measure(opened.rows(part, responses), plan, part.cohort.name)


def _inputs(request: DebiasRequest, opened: Opened) -> Inputs:
    roles = (("model", request.model), ("repair", request.data), ("test", request.test_data))
    attributes = opened.test.attributes
    crossed = tuple(intersections(attributes)) if request.intersect else ()
    rows = opened.rows(opened.test, _before(opened))
    return Inputs(
        files=tuple(
            InputFile(role=role, path=name, sha256=digest_of(name), rows=_count(opened, role))
            for role, name in roles
            if name is not None
        ),
        task=rows.task,
        label=request.label,
        classes=opened.classes,
        positive=opened.order[opened.repair.cohort.positive],
        threshold=0.5,
        sensitive=tuple(
            SensitiveAttribute(
                name=one.name,
                levels=one.levels,
                reference=one.levels[one.reference],
                parts=one.parts,
            )
            for one in (*attributes, *crossed)
        ),
    )


def _before(opened: Opened) -> Responses:
    return Asking.of(opened.network.subject, opened.test.cohort).responses()


def _count(opened: Opened, role: str) -> int | None:
    if role == "model":
        return None
    if role == "test":
        return len(opened.test.cohort)
    own = len(opened.repair.cohort) + len(opened.select.cohort)
    return own + (
        len(opened.test.cohort) if opened.test.table.name == opened.repair.table.name else 0
    )


def _settings(request: DebiasRequest) -> tuple[str, ...]:
    kept = "balanced accuracy" if request.limits.balanced else "F1"
    return (
        "soft share = 0.5",
        f"search = {request.search}",
        f"layers = {','.join(request.layers)}",
        f"max accuracy drop = {request.limits.max_acc_drop:g}",
        f"min {kept} ratio = {request.limits.min_f1_ratio:g}",
    )


def _card(case: Case, patch: Patch | None) -> PatchCard | None:
    if patch is None:
        return None
    steps = [(edit.after.double() - edit.before.double()) for edit in patch.edits]
    layers = dict.fromkeys(
        case.subject.infos[edit.tensor].layer
        for edit in patch.edits
        if edit.tensor in case.subject.infos
    )
    return PatchCard(
        layers=tuple(layers),
        weights=patch.count,
        l2=sqrt(sum(float(step.square().sum()) for step in steps)),
        linf=max((float(step.abs().max()) for step in steps), default=0.0),
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


def _cautions(
    opened: Opened, found: Repaired, judgement: Judgement, case: Case
) -> Iterator[Caution]:
    name = case.repair.attribute
    yield from _excluded(opened)
    if opened.shared:
        yield Caution(
            code="SPLIT_OVERLAP",
            message=f"{opened.shared} rows that judge were also among those that repair or select: "
            "the figures are optimistic",
        )
    if found.chosen is None and found.reason.startswith("DEGENERATE"):
        yield Caution(code="DEGENERATE", message=found.reason, attribute=name)
    if judgement.level_down:
        yield Caution(
            code="LEVEL_DOWN",
            message="the gap closed only by taking: no group has a higher true positive rate than "
            "before",
            attribute=name,
        )
    if judgement.chosen is not None and found.chosen is not None:
        low, high = found.chosen.gap, judgement.chosen.gap
        if high > _OPTIMISM * max(low, 1e-12):
            yield Caution(
                code="OPTIMISM",
                message=f"the gap is {high:.4f} on rows that nobody saw, {low:.4f} on those that "
                "selected: small groups were fitted by chance",
                attribute=name,
            )


def _excluded(opened: Opened) -> Iterator[Caution]:
    for level in opened.excluded:
        yield Caution(
            code="TINY_GROUP",
            message=f"{level}: too few rows of a label to repair for; it was left out of the "
            "objective",
            attribute=opened.repair.cohort.attribute,
            level=level,
        )


def _notes(request: DebiasRequest, opened: Opened) -> Iterator[str]:
    sizes = [len(part.cohort) for part in (opened.repair, opened.select, opened.test)]
    yield f"{sizes[0]:,} rows repair, {sizes[1]:,} select, {sizes[2]:,} judge and were read once"
    if len(request.grouping.sensitive) > 1:
        yield f"the repair aims at {request.grouping.sensitive[0]}; the others are measured only"
    yield (
        "where base rates differ, demographic parity, equalized odds and predictive parity cannot "
        "all hold; this report is no legal advice"
    )
