"""Which candidate is taken, by what it does to the rows that select."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from dnnrepair.fairness.paired import paired_gaps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dnnrepair.fairness.candidate import Candidate
    from dnnrepair.fairness.cohort import Cohort
    from dnnrepair.fairness.responses import Responses
    from dnnrepair.fitness.disparity import Disparity
    from dnnrepair.fitness.fairness import Limits

    Numbers = NDArray[np.float64]

BUDGETS = (0.0025, 0.005, 0.01, 0.02)  # of accuracy, the named points of the front
DRAWS = 400  # to tell candidates apart
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
    """

    candidate: Candidate | None
    responses: Responses
    table: Numbers
    accuracy: float
    f1: float
    gap: float
    violation: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Jury:
    """Judges candidates on one part of the data.

    Attributes:
        cohort: the rows.
        disparity: the objective.
        limits: what a repair may cost.
        before: the untouched network.
        seed: of the bootstrap.
    """

    cohort: Cohort
    disparity: Disparity
    limits: Limits
    before: Judged
    seed: int = 0

    def judge(
        self, candidate: Candidate, responses: Responses, flips: float = float("nan")
    ) -> Judged:
        """Return what a candidate does; ``flips`` is the gap where the objective is that."""
        found = judged(self.cohort, self.disparity, candidate, responses, flips)
        base = torch.from_numpy(self.before.table)
        excess = float(self.limits.violation(torch.from_numpy(found.table), base))
        lost = self.before.accuracy - found.accuracy - self.limits.max_acc_drop
        return Judged(
            candidate=candidate,
            responses=responses,
            table=found.table,
            accuracy=found.accuracy,
            f1=found.f1,
            gap=found.gap,
            violation=max(excess, lost, 0.0) if excess or lost > 0 else 0.0,
        )

    def choose(self, all_judged: Sequence[Judged], budget: float | None = None) -> Judged | None:
        """Return the candidate to take, None if none keeps the limits and narrows the gap.

        Of those that keep the limits, the one with the smallest gap; but where others cannot be
        told from it (their gap is larger by less than the standard error of the difference, on the
        same rows), the one of these that keeps most accuracy and F1, provided that its own gain is
        sure there. The smallest of many gaps that
        were measured on few rows is small by chance (Breiman et al. 1984, the one-standard-error
        rule).

        Args:
            all_judged: the candidates.
            budget: accuracy that may be lost, where that is less than the limit.
        """
        least = -1.0 if budget is None else self.before.accuracy - budget
        good = [
            one
            for one in all_judged
            if not one.violation and one.gap < self.before.gap and one.accuracy >= least
        ]
        if not good:
            return None
        best = min(good, key=lambda one: (one.gap, -one.accuracy))
        tied = [one for one in good if one.gap <= best.gap + self.spread(best, one)]
        sure = [one for one in tied if self.gain(one) > 0]
        return max(sure or [best], key=self._kept)

    def gain(self, one: Judged) -> float:
        """Return by how much a candidate narrows the gap at least, with 95 % confidence.

        Negative if it may not narrow it. Where the objective compares no groups, the gain itself.
        """
        if not self.disparity.rates:
            return self.before.gap - one.gap
        rng = np.random.default_rng(self.seed)
        before, after = (each.responses.predicted for each in (self.before, one))
        drawn = paired_gaps(self.cohort, before, after, self.disparity, rng, DRAWS)
        return float(np.quantile(drawn[0] - drawn[1], 1 - ONE_SIDED))

    def spread(self, first: Judged, second: Judged) -> float:
        """Return the standard error of the difference of two candidates' gaps."""
        if first is second or not self.disparity.rates:
            return 0.0
        rng = np.random.default_rng(self.seed)
        one, other = (each.responses.predicted for each in (first, second))
        drawn = paired_gaps(self.cohort, one, other, self.disparity, rng, DRAWS)
        return float((drawn[1] - drawn[0]).std())

    def _kept(self, one: Judged) -> float:
        return one.accuracy / self.before.accuracy + one.f1 / max(self.before.f1, 1e-12)


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
    from dnnrepair.fitness.fairness import f1

    table = cohort.table(responses.predicted)
    counts = torch.from_numpy(table)
    return Judged(
        candidate=candidate,
        responses=responses,
        table=table,
        accuracy=float((responses.predicted == cohort.classes).mean()),
        f1=float(f1(counts)),
        gap=float(disparity.gap(counts)) if disparity.rates else flips,
        violation=0.0,
    )


def front(points: Sequence[Judged]) -> list[Judged]:
    """Return those that no other beats in accuracy and gap, by rising accuracy."""
    ordered = sorted(points, key=lambda one: (-one.accuracy, one.gap))
    found: list[Judged] = []
    for one in ordered:
        if not found or one.gap < found[-1].gap:
            found.append(one)
    return found[::-1]
