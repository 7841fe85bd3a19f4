"""The driver: open, search, choose, judge once, and say what came of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dnnrepair.debiasing.judging import judge
from dnnrepair.debiasing.opening import open_parts
from dnnrepair.debiasing.reporting import not_judged, reported
from dnnrepair.errors import DataError, SettingError
from dnnrepair.fairness.case import Case
from dnnrepair.fairness.repair import changeable, repaired
from dnnrepair.fairness.suspects import masks_of, suspects
from dnnrepair.fitness.disparity import Disparity
from dnnrepair.patch import Patch
from dnnrepair.population.places import with_twins

if TYPE_CHECKING:
    from dnnrepair.debiasing.opening import Opened
    from dnnrepair.debiasing.request import DebiasRequest
    from dnnrepair.fairness.repair import Repaired
    from dnnrepair.fairness_report import FairnessReport

_FEWEST = 2  # groups
_LABEL_ONLY = "accgap"
_THRESHOLD = 0.5  # of the score, where the margin is 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Debiased:
    """What came of a fairness repair.

    Attributes:
        report: all there is to say.
        patch: the change, None if nothing was accepted.
    """

    report: FairnessReport
    patch: Patch | None


def debias(request: DebiasRequest) -> Debiased:
    """Make a network treat groups more alike, and measure on rows that nobody saw what it cost.

    The rows are split by group and label: half repair, a quarter selects, a quarter judges. If no
    candidate gains on the rows that select, there is no patch, and the report says why.

    Raises:
        DnnRepairError: one of its kinds, with what, where and what to do next.
    """
    _check(request)
    request.progress.stage("reading", None)
    opened = open_parts(request)
    _check_label(request, opened)
    if len(opened.repair.cohort.levels) < _FEWEST:
        return Debiased(report=not_judged(request, opened), patch=None)
    case = _case(request, opened)
    found = repaired(case, request.search)
    request.progress.stage("judging", None)
    judgement = judge(request, opened, case, found)
    patch = _patch(request, opened, found) if judgement.accepted else None
    return Debiased(report=reported(request, opened, case, found, judgement, patch), patch=patch)


def _check(request: DebiasRequest) -> None:
    if request.model is None or request.data is None:
        message = "name a MODEL, and a table of rows with --data"
        raise SettingError(message)
    if not request.grouping.sensitive:
        message = "name the column of the groups with --sensitive, such as --sensitive sex"
        raise SettingError(message)
    if request.task == "regress":
        message = "debias repairs decisions; of predicted values audit measures the gaps"
        raise SettingError(message)
    if request.weight is not None:
        message = "--weight: debias counts every row alike; audit takes weights"
        raise SettingError(message)
    if request.threshold != _THRESHOLD:
        message = f"--threshold: debias repairs decisions at {_THRESHOLD:g}; audit takes others"
        raise SettingError(message)
    if request.predictions is not None:
        message = "--predictions: debias asks the network itself; give its rows with --data"
        raise SettingError(message)
    if request.objective == "flip" and request.search != "descent":
        message = "--objective flip compares an input with its twin; use --search descent"
        raise SettingError(message)


def _check_label(request: DebiasRequest, opened: Opened) -> None:
    """Refuse objectives that have no meaning where the groups are the labels."""
    name = opened.repair.cohort.attribute
    if name in opened.same and request.objective != _LABEL_ONLY:
        message = (
            f"SENSITIVE_IS_LABEL: {name!r} is the label {request.label!r} itself, so that "
            f"{request.objective} has no meaning; use --objective {_LABEL_ONLY}"
        )
        raise DataError(message)


def _case(request: DebiasRequest, opened: Opened) -> Case:
    subject = opened.network.subject
    layers: str | tuple[str, ...] = request.layers
    if len(request.layers) == 1 and request.layers[0] in ("auto", "all", "last", "localized"):
        layers = request.layers[0]
    case = Case(
        subject=subject,
        repair=opened.repair.cohort,
        select=opened.select.cohort,
        disparity=Disparity.named(request.objective),
        names=changeable(subject, "auto" if layers == "localized" else layers),
        bound=request.bound,
        limits=request.limits,
        seed=request.seed,
        checkpoint=request.patch,
        progress=request.progress,
    )
    if layers != "localized":
        return case
    if not case.disparity.rates:
        message = "--layers localized asks which weights part the groups; flip compares none"
        raise SettingError(message)
    request.progress.stage("localizing", None)
    masks = masks_of(case, suspects(case, request.count))
    return replace(case, names=tuple(masks), masks=masks)


def _patch(request: DebiasRequest, opened: Opened, found: Repaired) -> Patch:
    assert found.chosen is not None  # noqa: S101 - it was accepted
    candidate = found.chosen.candidate
    assert candidate is not None  # noqa: S101 - only the untouched network has none
    subject = opened.network.subject
    changed = with_twins(subject.running, candidate.tensors)
    return Patch.of(
        subject.state,
        {name: value.cpu() for name, value in changed.items() if name in subject.state},
        method=f"debias {candidate.method}",
        settings={**candidate.settings, "objective": request.objective},
        seed=request.seed,
    )
