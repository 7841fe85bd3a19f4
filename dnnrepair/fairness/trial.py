"""Candidates on trial: what each decides, as it is and with its margins shifted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from dnnrepair.fairness.choice import Judged, Jury
from dnnrepair.fairness.responses import Asking
from dnnrepair.fairness.shifting import Shifter, tables
from dnnrepair.fairness.twins import Twins

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dnnrepair.fairness.candidate import Candidate
    from dnnrepair.fairness.case import Case

    Numbers = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """The rows that select and those that repair, put to every candidate.

    Attributes:
        case: whose rows.
        select: they, ready to be asked.
        repair: they, ready to be asked.
        twins: of the rows that select.
        jury: judges the answers.
        shifter: changes how ready a network is to decide positively; None if it cannot.
        shifts: that are tried.
    """

    case: Case
    select: Asking
    repair: Asking
    twins: Twins
    jury: Jury
    shifter: Shifter | None
    shifts: Numbers

    @classmethod
    def of(cls, case: Case) -> Trial:
        """Prepare, and ask the untouched network."""
        select, repair = (
            Asking.of(case.subject, part, case.names) for part in (case.select, case.repair)
        )
        twins = Twins.of(case, case.select)
        responses = select.responses()
        shifter = Shifter.of(case) if case.disparity.rates else None
        spread = float(responses.margins.std())
        return cls(
            case=case,
            select=select,
            repair=repair,
            twins=twins,
            jury=Jury.of(case, responses, repair.responses(), twins.flips(responses)),
            shifter=shifter,
            shifts=shifter.shifts(spread) if shifter else np.zeros(0),
        )

    def judge(self, candidate: Candidate) -> Iterator[Judged]:
        """Yield a candidate as it is, and with its margins shifted where that is better."""
        case = self.case
        found = self._judged(candidate)
        yield found
        if self.shifter is not None and found.fitted is not None:
            select = tables(case.select, found.responses.margins, self.shifts)
            pooled = select + tables(case.repair, found.fitted.margins, self.shifts)
            expected, excess = self.jury.expected(pooled), self.jury.excess(select)
            best = int(torch.where(excess > 0, 1 + excess, expected).argmin())
            if self.shifts[best]:
                yield self._shifted(self.shifter, found, float(self.shifts[best]))

    def _shifted(self, shifter: Shifter, found: Judged, by: float) -> Judged:
        """Return a candidate with shifted margins: the network need not run again for that."""
        assert found.candidate is not None  # noqa: S101 - it is none of the untouched network
        assert found.fitted is not None  # noqa: S101 - every candidate is asked
        candidate = shifter.shifted(found.candidate, by)
        if not shifter.exact:
            return self._judged(candidate)
        positive = self.case.repair.positive
        select, repair = (one.shifted(by, positive) for one in (found.responses, found.fitted))
        return self.jury.judge(candidate, select, repair)

    def _judged(self, candidate: Candidate) -> Judged:
        select, repair = (
            asking.responses(candidate.tensors) for asking in (self.select, self.repair)
        )
        flips = self.twins.flips(select, candidate.tensors)
        return self.jury.judge(candidate, select, repair, flips)
