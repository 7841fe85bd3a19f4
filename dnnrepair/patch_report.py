"""What a repair has to say, complete: formats draw it, JSON stores it, nothing else is needed."""

from __future__ import annotations

from dataclasses import dataclass

from dnnrepair.report import SCHEMA_VERSION, ModelCard
from dnnrepair.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class PartSize:
    """One part of the data.

    Attributes:
        name: "search", "selection" or "held-out".
        samples: how many inputs.
        right: how many of them the untouched network gets right.
        targets: how many are to be fixed.
        protected: how many must stay right.
    """

    name: str
    samples: int
    right: int
    targets: int
    protected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One proposed change on the trade-off between fixing and breaking.

    Attributes:
        method: that proposed it.
        name: what distinguishes it among the method's, such as "weight 10, anchor 10".
        numbers: how many numbers of the network it changes.
        selection: what it does to the selection part.
        held_out: what it does to the held-out part; never used to choose.
        chosen: it is the one that was taken.
        accepted: it beats the untouched network on the selection part.
        reason: why, or why not.
        patch: name of the file that it was written to, "" if none.
    """

    method: str
    name: str
    numbers: int
    selection: Verdict
    held_out: Verdict
    chosen: bool = False
    accepted: bool = False
    reason: str = ""
    patch: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """How long one stage of the work took.

    Attributes:
        name: such as "search".
        seconds: of wall clock.
    """

    name: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchReport:
    """A whole repair, or a comparison of several methods on the same split.

    Attributes:
        schema_version: of this structure in JSON.
        tool_version: of dnnrepair.
        model: which network, on what.
        goal: what was to be fixed, in words.
        protect: what was to be kept, in words.
        max_broken: share of the right inputs that was allowed to break, None for no limit.
        parts: how the data were split.
        methods: that proposed changes, in order.
        points: all changes that were proposed, from the gentlest to the boldest of each method.
        settings: of the run, ``key = value`` each.
        seed: of whatever was random.
        accepted: a change was found that beats the untouched network on the selection part.
        reason: why the chosen one was chosen, or why none was.
        skipped: methods that could not work here, with reasons.
        notes: what the user should know, a sentence each.
        stages: how long the work took; left out of JSON comparisons between runs.
        interrupted: the search was cut short; what was found until then is reported.
    """

    schema_version: int = SCHEMA_VERSION
    tool_version: str = ""
    model: ModelCard
    goal: str
    protect: str = ""
    max_broken: float | None = None
    parts: tuple[PartSize, ...] = ()
    methods: tuple[str, ...] = ()
    points: tuple[Point, ...] = ()
    settings: tuple[str, ...] = ()
    seed: int = 0
    accepted: bool = False
    reason: str = ""
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    stages: tuple[Stage, ...] = ()
    interrupted: bool = False

    @property
    def chosen(self) -> Point | None:
        """The change that was taken, None if none was."""
        return next((point for point in self.points if point.chosen), None)
