"""Rows that judge: what a network decides for them, as it is and changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dnnrepair.fairness.choice import Judged, judged
from dnnrepair.fairness.responses import Asking
from dnnrepair.fairness.twins import Twins

if TYPE_CHECKING:
    from dnnrepair.fairness.candidate import Candidate
    from dnnrepair.fairness.case import Case
    from dnnrepair.fairness.cohort import Cohort


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hearing:
    """A cohort to which candidates are put once the search is over.

    Attributes:
        case: the network and the objective.
        cohort: the rows.
        asking: they, ready to be asked.
        twins: of them.
    """

    case: Case
    cohort: Cohort
    asking: Asking
    twins: Twins

    @classmethod
    def of(cls, case: Case, cohort: Cohort) -> Hearing:
        """Prepare to ask."""
        asking = Asking.of(case.subject, cohort, case.names)
        return cls(case=case, cohort=cohort, asking=asking, twins=Twins.of(case, cohort))

    def judged(self, candidate: Candidate | None) -> Judged:
        """Return what a candidate does, or for None what the untouched network does."""
        tensors = candidate.tensors if candidate is not None else None
        responses = self.asking.responses(tensors)
        flips = self.twins.flips(responses, tensors)
        return judged(self.cohort, self.case.disparity, candidate, responses, flips)
