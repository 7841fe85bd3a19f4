"""What changes of a network's structure have to say; formats draw it, JSON stores it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dnnrepair.rate import Rate
from dnnrepair.report import SCHEMA_VERSION, ModelCard


class Promise(StrEnum):
    """What an operation owes to the network's function."""

    EXACT = "exact"  # no output changes, up to rounding
    CLOSEST = "closest"  # the nearest function of its kind, on the data
    CHANGES = "changes"  # the function changes, as was asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How the outputs of two networks for the same inputs differ.

    Attributes:
        inputs: which, in words.
        samples: how many.
        relative: largest absolute difference of two outputs, divided by the largest absolute
            output of the network before; infinite where one of them is not finite.
        typical: root mean square of all differences, in the same way.
        agreement: how many inputs have the same largest output; None unless it is a classifier.
        before, after: how many answers are right; None without labels.
        loss_before, loss_after: mean loss, None without labels.
    """

    inputs: str
    samples: int
    relative: float
    typical: float = 0.0
    agreement: Rate | None = None
    before: Rate | None = None
    after: Rate | None = None
    loss_before: float | None = None
    loss_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """One change that was made.

    Attributes:
        operation: its name, such as "activation".
        layers: where, dotted names.
        summary: what was done, in one sentence.
        settings: ``key = value`` each.
        promise: what it owes to the network's function.
        reason: why it is not exact, or what it was chosen by; "" if there is nothing to say.
        difference: what it changed, measured; None if nothing could be run.
        units: how many units were concerned, 0 if units were not counted.
    """

    operation: str
    layers: tuple[str, ...]
    summary: str
    settings: tuple[str, ...] = ()
    promise: Promise = Promise.EXACT
    reason: str = ""
    difference: Difference | None = None
    units: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfRange:
    """How much of what a polynomial reads lies outside of the range that it was made for.

    Attributes:
        layer: dotted name.
        low, high: the range.
        values: of all values that it reads, those outside.
        inputs: of all inputs of the network, those with such a value.
    """

    layer: str
    low: float
    high: float
    values: Rate
    inputs: Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapReport:
    """A whole run of swaps.

    Attributes:
        schema_version: of this structure in JSON.
        tool_version: of dnnrepair.
        model: which network, on what.
        swaps: what was done, in order.
        overall: all of them together, on data that no operation looked at where there are such.
        ranges: of polynomials, and what lies outside of them on the data of ``overall``.
        skipped: what was not done, with reasons.
        files: what was written.
        form: in which form, in words.
        structural: the graph changed, so that the old code cannot load the new weights.
        notes: what the user should know, a sentence each.
        seed: of whatever was random.
    """

    schema_version: int = SCHEMA_VERSION
    tool_version: str = ""
    model: ModelCard
    swaps: tuple[Swap, ...] = ()
    overall: Difference | None = None
    ranges: tuple[OutOfRange, ...] = ()
    skipped: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    form: str = ""
    structural: bool = False
    notes: tuple[str, ...] = ()
    seed: int = 0
