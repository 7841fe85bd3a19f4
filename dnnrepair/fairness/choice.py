"""Which candidate is taken, by what it does to the rows that select, and to those that repair."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from dnnrepair.fairness.paired import paired_gaps, paired_table
from dnnrepair.fitness.fairness import f1

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from dnnrepair.fairness.candidate import Candidate
    from dnnrepair.fairness.case import Case
    from dnnrepair.fairness.cohort import Cohort
    from dnnrepair.fairness.responses import Responses
    from dnnrepair.fitness.disparity import Disparity

    Numbers = NDArray[np.float64]

BUDGETS = (0.0025, 0.005, 0.01, 0.02)  # of accuracy, the named points of the front
DRAWS = 400  # to tell whether a gain may be chance
NOISES = 200  # of the rates, to tell which gap is to be expected
ONE_SIDED = 0.95  # confidence in a gain


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """A candidate and what it does to the rows that select.

    Attributes:
        candidate: the change, None for the untouched network.
        responses: what the network decides then.
        table: its decisions by group and label, ``(G, 2, 2)``.
        accuracy: share of right answers, of all classes.
        f1: of the positive class.
        gap: of the objective.
        violation: by how much limits are exceeded, 0 if they are kept.
        expected: the gap to expect of other rows, by the rows that select and those that repair;
            the gap itself where the objective compares no groups, or only one part is known.
        fitted: what the network decides for the rows that repair, None if not asked.
    """

    candidate: Candidate | None
    responses: Responses
    table: Numbers
    accuracy: float
    f1: float
    gap: float
    violation: float
    expected: float = float("nan")
    fitted: Responses | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Jury:
    """Judges candidates on the rows that select, and on those that repair.

    Whether limits are kept is judged on the rows that select alone: accuracy and F1 on rows that
    weights were fitted to flatter. The gap is judged on both: the rate of a small group has a
    standard error that a short descent's optimism is small beside, and that three times the rows
    nearly halve.

    Attributes:
        case: the parts, the objective and the limits.
        before: the untouched network.
    """

    case: Case
    before: Judged

    @classmethod
    def of(cls, case: Case, responses: Responses, fitted: Responses, flips: float) -> Jury:
        """Return a jury that knows what the untouched network decides."""
        first = judged(case.select, case.disparity, None, responses, flips)
        jury = cls(case=case, before=first)
        return cls(case=case, before=jury.judge(None, responses, fitted, flips))

    def judge(
        self,
        candidate: Candidate | None,
        responses: Responses,
        fitted: Responses,
        flips: float = float("nan"),
    ) -> Judged:
        """Return what a candidate does; ``flips`` is the gap where the objective is that."""
        case = self.case
        found = judged(case.select, case.disparity, candidate, responses, flips)
        pooled = found.table + case.repair.table(fitted.predicted)
        expected = float(self.expected(torch.from_numpy(pooled))) if case.disparity.rates else flips
        lost = self.before.accuracy - found.accuracy - case.limits.max_acc_drop
        excess = float(self.excess(torch.from_numpy(found.table)))
        violation = max(excess, lost, 0.0)
        return replace(found, violation=violation, expected=expected, fitted=fitted)

    def excess(self, tables: Tensor) -> Tensor:
        """Return by how much tables ``(..., G, 2, 2)`` of the rows that select break limits."""
        return self.case.limits.violation(tables, torch.from_numpy(self.before.table))

    def expected(self, tables: Tensor) -> Tensor:
        """Return the gap to expect ``(...)`` by tables ``(..., G, 2, 2)`` of both parts."""
        return self.case.disparity.expected(tables, self.noise)

    @cached_property
    def noise(self) -> Tensor:
        """Standard normal draws ``(D, R, G)``, the same for all candidates."""
        shape = (NOISES, len(self.case.disparity.rates), len(self.case.repair.levels))
        return torch.from_numpy(np.random.default_rng(self.case.seed).standard_normal(shape))

    def choose(self, all_judged: Sequence[Judged], budget: float | None = None) -> Judged | None:
        """Return the candidate to take, None if none keeps the limits and narrows the gap.

        Of those that keep the limits on the rows that select, the one with the smallest gap to
        expect.

        Args:
            all_judged: the candidates.
            budget: accuracy that may be lost, where that is less than the limit.
        """
        least = -1.0 if budget is None else self.before.accuracy - budget
        good = [
            one
            for one in all_judged
            if not one.violation
            and one.gap < self.before.gap
            and one.expected < self.before.expected
            and one.accuracy >= least
        ]
        return min(good, key=lambda one: (one.expected, -one.accuracy), default=None)

    def gain(self, one: Judged) -> float:
        """Return by how much a candidate narrows the gap at least, with 95 % confidence.

        By the rows that select and those that repair. Negative if it may not narrow it. Where the
        objective compares no groups, the gain itself.
        """
        case, before = self.case, self.before
        if not case.disparity.rates or before.fitted is None or one.fitted is None:
            return before.gap - one.gap
        table = paired_table(case.select, before.responses.predicted, one.responses.predicted)
        table = table + paired_table(case.repair, before.fitted.predicted, one.fitted.predicted)
        drawn = paired_gaps(table, case.disparity, np.random.default_rng(case.seed), DRAWS)
        return float(np.quantile(drawn[0] - drawn[1], 1 - ONE_SIDED))


def judged(
    cohort: Cohort,
    disparity: Disparity,
    candidate: Candidate | None,
    responses: Responses,
    flips: float = float("nan"),
) -> Judged:
    """Return what a network decides for a cohort, in numbers.

    Args:
        cohort: the rows.
        disparity: the objective.
        candidate: the change, None for none.
        responses: what the network decides.
        flips: the mean change of the score with the attribute alone.
    """
    table = cohort.table(responses.predicted)
    counts = torch.from_numpy(table)
    gap = float(disparity.gap(counts)) if disparity.rates else flips
    return Judged(
        candidate=candidate,
        responses=responses,
        table=table,
        accuracy=float((responses.predicted == cohort.classes).mean()),
        f1=float(f1(counts)),
        gap=gap,
        violation=0.0,
        expected=gap,
    )


def front(points: Sequence[Judged]) -> list[Judged]:
    """Return those that no other beats in accuracy and gap, by rising accuracy."""
    ordered = sorted(points, key=lambda one: (-one.accuracy, one.gap))
    found: list[Judged] = []
    for one in ordered:
        if not found or one.gap < found[-1].gap:
            found.append(one)
    return found[::-1]
