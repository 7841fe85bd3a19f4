"""What a fairness repair of the benchmark was to do, and what came of it, to be kept in a file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from dnnrepair import __version__
from dnnrepair.fairness.descent import Descent
from dnnrepair.fairness_report import BaselineResult

if TYPE_CHECKING:
    from pathlib import Path

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


def name_of(plan: Plan) -> str:
    """Return a name that changes with whatever the run depends on."""
    told = f"{plan}{Descent()}{__version__}"
    digest = sha256(told.encode()).hexdigest()[:12]
    return f"{plan.data}-{plan.attribute}-{plan.objective}-{plan.seed}-{digest}"


def written(run: Run) -> str:
    """Return a run as text to be kept."""
    return json.dumps(asdict(run)) + "\n"


def read(path: Path) -> Run:
    """Return a run that was kept."""
    plain: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    plain["plan"] = Plan(**plain["plan"])
    plain["others"] = tuple(BaselineResult(**one) for one in plain["others"])
    for name in ("before", "after"):
        plain[name] = tuple(plain[name])
    return Run(**{field.name: plain[field.name] for field in fields(Run)})
