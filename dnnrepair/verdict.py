"""What a change to a network did, counted input by input."""

from __future__ import annotations

from dataclasses import dataclass

from dnnrepair.rate import Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate with its 95 % interval.

    Attributes:
        value: the estimate.
        low: lower end.
        high: upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassChange:
    """What happened to the inputs of one class.

    Attributes:
        label: the class.
        total: how many inputs it has.
        before: how many were right.
        after: how many are right.
        fixed: were wrong and are right.
        broken: were right and are wrong.
        lost_to: the class that most of the broken are taken for now, None if none are broken.
    """

    label: int
    total: int
    before: int
    after: int
    fixed: int
    broken: int
    lost_to: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a change did to one part of the data.

    Attributes:
        part: "search", "selection" or "held-out".
        samples: how many inputs.
        targets: of those to be fixed, how many are right now.
        broken: of those that were right, how many are wrong now.
        protected: of those that must stay right, how many are wrong now.
        others: of the wrong ones that were no targets, how many are right now.
        before: how many were right.
        after: how many are right now.
        gain: accuracy now less accuracy before, in [-1, 1], paired.
        cost_before: what the wrong answers cost, summed.
        cost_after: what they cost now.
        classes: what happened in each class; empty for regression.
    """

    part: str
    samples: int
    targets: Rate
    broken: Rate
    protected: Rate
    others: Rate
    before: Rate
    after: Rate
    gain: Interval
    cost_before: float
    cost_after: float
    classes: tuple[ClassChange, ...] = ()
