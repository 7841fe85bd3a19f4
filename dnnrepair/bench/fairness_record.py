"""What a fairness repair of the benchmark was to do, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dnnrepair.fairness_report import BaselineResult  # noqa: TC001 - pydantic reads it

NAN = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Plan:
    """One repair to be carried out.

    Attributes:
        data: name of the table.
        attribute: that groups people.
        told: the attributes are among the network's inputs.
        objective: what is made small.
        seed: of split, training and search.
    """

    data: str
    attribute: str
    told: bool
    objective: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a repair reached on rows that judge.

    Attributes:
        plan: what was repaired.
        before: accuracy, F1 and gap of the untouched network.
        after: those of the repaired one; the same where nothing was accepted.
        select_gap: of the repair on the rows that select, NaN where nothing was accepted.
        region: of Fairea, "" where nothing was accepted or groups are not compared.
        limit: the least gap that any rule on the network's scores could reach on these rows.
        floor: the mean gap that a network with the same rates for every group would show on rows of
            these numbers, by chance alone; NaN where that has no meaning.
        own_inputs: share of the patch's squared size that lies in weights which read the attribute.
        seconds: of wall clock, of the search.
        cpu: seconds of CPU, of the search.
        others: what other methods reach.
        reason: why this candidate, or why none.
    """

    plan: Plan
    before: tuple[float, float, float]
    after: tuple[float, float, float]
    select_gap: float
    region: str
    limit: float
    floor: float
    own_inputs: float
    seconds: float
    cpu: float
    others: tuple[BaselineResult, ...]
    reason: str

    @property
    def accepted(self) -> bool:
        """Whether a patch was taken."""
        return not np.isnan(self.select_gap)
