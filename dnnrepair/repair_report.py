"""What the whole loop of a repair has to say; formats draw it, JSON stores it."""

from __future__ import annotations

from dataclasses import dataclass

from dnnrepair.finding import Finding
from dnnrepair.patch_report import Stage
from dnnrepair.rate import Rate
from dnnrepair.report import SCHEMA_VERSION, ModelCard
from dnnrepair.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How good a network is on one part of the data.

    Attributes:
        loss: mean loss; NaN or infinite for a network that answers so.
        right: how many answers are right; None where values are predicted.
    """

    loss: float
    right: Rate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One treatment that was tried on a copy.

    Attributes:
        number: from 1.
        code: of the finding that it was tried against, "" if chosen at random.
        layer: of that finding, "" for the whole network.
        treatment: its name.
        done: what was done to the copy, a sentence each.
        epochs: that it was trained, 0 if it was not.
        before: the network that it was tried on, on the selection part.
        after: the copy there; None if the treatment could not be applied.
        cleared: the finding is gone; None if the treatment could not be applied, or was random.
        left: codes of the findings (errors and warnings) that the copy has.
        kept: the copy took the network's place.
        reason: why, or why not.
        seconds: that it took, wall clock.
    """

    number: int
    code: str
    layer: str
    treatment: str
    done: tuple[str, ...] = ()
    epochs: int = 0
    before: Score
    after: Score | None = None
    cleared: bool | None = None
    left: tuple[str, ...] = ()
    kept: bool = False
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What a series of attempts came to.

    Attributes:
        attempts: all of them, kept or not, in order.
        left: errors and warnings that the network has in the end, on the data that chose.
        verdict: what the kept ones did to the held-out part together; None where values are
            predicted.
        before: the network as it came, on the held-out part.
        after: the network in the end, there.
    """

    attempts: tuple[Attempt, ...]
    left: tuple[Finding, ...]
    verdict: Verdict | None
    before: Score
    after: Score

    @property
    def kept(self) -> tuple[Attempt, ...]:
        """The attempts that were kept."""
        return tuple(attempt for attempt in self.attempts if attempt.kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairPart:
    """One part of the data.

    Attributes:
        name: "search", "selection" or "held-out".
        samples: how many inputs.
        use: what it is for.
    """

    name: str
    samples: int
    use: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairReport:
    """A whole repair.

    Attributes:
        schema_version: of this structure in JSON.
        tool_version: of dnnrepair.
        model: which network, on what.
        parts: how the data were split.
        found: errors and warnings before, root causes first, on the data that chose.
        course: what was tried, and what came of it.
        baseline: the same number of attempts, drawn at random; None unless asked for.
        accepted: something was kept.
        reason: why the loop ended.
        skipped: what was not tried, with reasons.
        notes: what the user should know, a sentence each.
        files: what was written.
        form: in which form, in words.
        seed: of whatever was random.
        stages: how long the work took.
        interrupted: the loop was cut short; what was kept until then is reported.
    """

    schema_version: int = SCHEMA_VERSION
    tool_version: str = ""
    model: ModelCard
    parts: tuple[RepairPart, ...]
    found: tuple[Finding, ...]
    course: Course
    baseline: Course | None = None
    accepted: bool = False
    reason: str = ""
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    form: str = ""
    seed: int = 0
    stages: tuple[Stage, ...] = ()
    interrupted: bool = False
