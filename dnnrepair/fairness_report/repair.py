"""What a fairness repair aimed at, changed, and cost."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How a repair changed one number, on the same rows.

    Attributes:
        id: of the metric or overall number.
        attribute: name of the attribute, "" for overall numbers.
        before: its value before.
        after: its value after.
        value: after less before.
        low: lower end of the paired 95 % interval.
        high: upper end.
        p: of no change.
        optimized: the repair aimed at it.
    """

    id: str
    attribute: str = ""
    before: float
    after: float
    value: float
    low: float
    high: float
    p: float
    optimized: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What a repair aimed at.

    Attributes:
        id: of the objective.
        attribute: name of the attribute.
        settings: of the search, ``key = value`` each.
    """

    id: str
    attribute: str
    settings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """What a repair had to keep.

    Attributes:
        id: of the constraint.
        limit: that was set.
        observed: on the test part.
        held: whether it was kept there.
    """

    id: str
    limit: float
    observed: float
    held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchCard:
    """What a repair changed in the network.

    Attributes:
        layers: that it touches.
        weights: how many numbers it changes.
        l2: norm of the change.
        linf: its largest change of a number.
        file: that it was written to, "" if none.
        sensitive_weights: it changes weights that read the sensitive attribute.
    """

    layers: tuple[str, ...]
    weights: int
    l2: float
    linf: float
    file: str = ""
    sensitive_weights: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What a repair took.

    Attributes:
        method: of the search.
        evaluations: candidates that were tried.
        seconds: of wall clock.
        history: best fitness over the search.
    """

    method: str
    evaluations: int
    seconds: float
    history: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoPoint:
    """One choice between accuracy and fairness.

    Attributes:
        budget: accuracy that may be lost, NaN if it is no named point.
        select_accuracy: on the part that chose.
        select_gap: on the part that chose.
        test_accuracy: on the part that judges, NaN if not evaluated.
        test_gap: on the part that judges.
        chosen: it was taken.
    """

    budget: float
    select_accuracy: float
    select_gap: float
    test_accuracy: float = nan
    test_gap: float = nan
    chosen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fairea:
    """The trade-off that overwriting predictions at random would buy (Hort et al. 2021).

    Attributes:
        baseline: accuracy and gap as more predictions are overwritten.
        point: accuracy and gap of the repair.
        region: "win-win", "good", "bad", "inverted", "lose-lose" or "undefined".
    """

    baseline: tuple[tuple[float, float], ...]
    point: tuple[float, float]
    region: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flips:
    """Predictions that a repair changed, in one group and label.

    Attributes:
        attribute: name of the attribute.
        level: of the group.
        label: value of the label.
        n: rows.
        lost: from positive to negative.
        won: from negative to positive.
    """

    attribute: str
    level: str
    label: str
    n: int
    lost: int
    won: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineResult:
    """What another method reaches on the test part.

    Attributes:
        id: of the method.
        accuracy: on the test part.
        f1: on the test part.
        gap: the objective's metric on the test part.
        uses_sensitive_at_inference: it must be told the group of each person.
        reason: why it could not be measured, "" if it was.
    """

    id: str
    accuracy: float
    gap: float
    f1: float = nan
    uses_sensitive_at_inference: bool = False
    reason: str = ""
