"""The verdict on a repair: rows that nobody saw, read once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from dnnrepair.fairness.fairea import fairea
from dnnrepair.fairness.hearing import Hearing
from dnnrepair.fairness.paired import changes, flips_of, levels_down, paired_table
from dnnrepair.fairness_report import Change, Constraint, Outcome
from dnnrepair.fitness.fairness import balanced_accuracy, f1

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.debiasing.opening import Opened
    from dnnrepair.debiasing.request import DebiasRequest
    from dnnrepair.fairness.case import Case
    from dnnrepair.fairness.choice import Judged
    from dnnrepair.fairness.repair import Repaired
    from dnnrepair.fairness_report import Fairea, Flips

NOTHING, INCONCLUSIVE, PASS = 4, 3, 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Judgement:
    """What the rows that judge say.

    Attributes:
        before: the untouched network on them.
        points: what each of the repair's points does on them, in order.
        chosen: what the chosen candidate does, None if there is none.
        accepted: a patch is to be written.
        delta: how numbers changed.
        constraints: what had to be kept.
        flips: who changed.
        fairea: beside random trade-offs, None where that has no meaning.
        level_down: the gap closed only by taking.
        outcome: the verdict.
    """

    before: Judged
    points: tuple[Judged, ...]
    chosen: Judged | None
    accepted: bool
    delta: tuple[Change, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    flips: tuple[Flips, ...] = ()
    fairea: Fairea | None = None
    level_down: bool = False
    outcome: Outcome


def judge(request: DebiasRequest, opened: Opened, case: Case, found: Repaired) -> Judgement:
    """Put the chosen candidate, and the other points, to the rows that judge."""
    cohort = opened.test.cohort
    hearing = Hearing.of(case, cohort)
    before = hearing.judged(None)
    points = tuple(hearing.judged(point.select.candidate) for point in found.points)
    if found.chosen is None:
        outcome = Outcome(status="nothing accepted", exit_code=NOTHING, reasons=(found.reason,))
        return Judgement(before=before, points=points, chosen=None, accepted=False, outcome=outcome)
    after = hearing.judged(found.chosen.candidate)
    first, second = before.responses.predicted, after.responses.predicted
    rng = np.random.default_rng(request.seed)
    delta = tuple(changes(cohort, first, second, request.objective, rng, request.draws))
    kept = tuple(constraints(case, before, after))
    outcome = _outcome(request, before, after, delta, kept)
    names = _names(opened)
    return Judgement(
        before=before,
        points=points,
        chosen=after,
        accepted=outcome.exit_code != NOTHING,
        delta=delta,
        constraints=kept,
        flips=tuple(flips_of(cohort, first, second, names)),
        fairea=fairea(cohort, first, second, case.disparity, rng) if case.disparity.rates else None,
        level_down=levels_down(paired_table(cohort, first, second)),
        outcome=outcome,
    )


def constraints(case: Case, before: Judged, after: Judged) -> Iterator[Constraint]:
    """Yield what had to be kept, and what became of it."""
    limits = case.limits
    base, now = (torch.from_numpy(one.table) for one in (before, after))
    moved = after.accuracy - before.accuracy
    yield _constraint(
        "accuracy change", -limits.max_acc_drop, moved, held=moved >= -limits.max_acc_drop
    )
    of, name = (balanced_accuracy, "balanced accuracy") if limits.balanced else (f1, "F1")
    ratio = float(of(now)) / max(float(of(base)), 1e-12)
    yield _constraint(
        f"{name} ratio", limits.min_f1_ratio, ratio, held=ratio >= limits.min_f1_ratio
    )
    if limits.level_down is not None:
        rates = [table[:, 1, 1] / table[:, 1].sum(-1) for table in (base, now)]
        fall = float((rates[0] - rates[1]).nan_to_num(nan=0.0).max())
        yield _constraint(
            "largest fall of a true positive rate",
            limits.level_down,
            fall,
            held=fall <= limits.level_down,
        )
    if limits.selection_band is not None:
        shares = [float(table[..., 1].sum() / table.sum()) for table in (base, now)]
        change = abs(shares[1] / max(shares[0], 1e-12) - 1)
        yield _constraint(
            "selection rate, relative change",
            limits.selection_band,
            change,
            held=change <= limits.selection_band,
        )


def _constraint(name: str, limit: float, observed: float, *, held: bool) -> Constraint:
    return Constraint(id=name, limit=limit, observed=observed, held=held)


def _outcome(
    request: DebiasRequest,
    before: Judged,
    after: Judged,
    delta: tuple[Change, ...],
    kept: tuple[Constraint, ...],
) -> Outcome:
    """Return the verdict: a proven gain, a gain that may be chance, or none."""
    aim = f"{request.objective} by {request.grouping.sensitive[0]}"
    told = f"{aim}: {before.gap:.4f} -> {after.gap:.4f}"
    if not after.gap < before.gap:
        reason = (
            f"on rows that nobody saw the gap does not narrow ({told}); the network stays as it is"
        )
        return Outcome(status="nothing accepted", exit_code=NOTHING, reasons=(reason,))
    aimed = next((one for one in delta if one.optimized), None)
    reasons = []
    if aimed is not None and not aimed.high < 0:
        reasons.append(f"{told}, but the paired interval holds 0: this may be chance")
    reasons += [
        f"{one.id} is {one.observed:.4f} on rows that nobody saw, beyond the limit of {one.limit:g}"
        for one in kept
        if not one.held
    ]
    if not reasons:
        return Outcome(status="pass", exit_code=PASS, reasons=(f"{told}, and all limits are kept",))
    lenient = request.gates.inconclusive_ok
    return Outcome(
        status="inconclusive", exit_code=PASS if lenient else INCONCLUSIVE, reasons=tuple(reasons)
    )


def _names(opened: Opened) -> tuple[str, str]:
    positive = opened.order[opened.repair.cohort.positive]
    others = [one for one in opened.order if one != positive]
    return (others[0] if len(others) == 1 else "other"), positive
