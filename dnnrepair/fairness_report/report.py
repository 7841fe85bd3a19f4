"""A whole audit or fairness repair."""

from __future__ import annotations

from dataclasses import dataclass

from dnnrepair.fairness_report.inputs import Inputs, Tool
from dnnrepair.fairness_report.measurement import Individual, Measurement
from dnnrepair.fairness_report.repair import (
    BaselineResult,
    Change,
    Constraint,
    Fairea,
    Flips,
    Objective,
    ParetoPoint,
    PatchCard,
    Search,
)
from dnnrepair.report import SCHEMA_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """Something that the reader must know.

    Attributes:
        code: such as "TINY_GROUP".
        message: a sentence.
        attribute: that it is about, "" for none.
        level: of the attribute, "" for none.
    """

    code: str
    message: str
    attribute: str = ""
    level: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The verdict.

    Attributes:
        status: "pass", "fail", "inconclusive", or of a repair "nothing accepted".
        exit_code: of the run.
        reasons: a sentence each.
    """

    status: str
    exit_code: int
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FairnessReport:
    """A whole audit, or a whole fairness repair.

    What only a repair has is empty or None in an audit.

    Attributes:
        schema_version: of this structure in JSON.
        tool: that measured.
        command: "audit" or "debias".
        seed: of whatever was random.
        draws: of the bootstrap.
        gate_by: "interval" or "point".
        min_group: rows below which a group is too small to judge.
        min_cell: positives or negatives below which a rate is too uncertain to judge.
        inputs: what was measured on what.
        before: the network as it came, a measurement for each part of the data.
        after: the repaired network, likewise.
        delta: how the repair changed numbers on the test part.
        individual: by attribute, of the network as it came.
        individual_after: likewise, of the repaired network.
        objective, constraints, patch, search: of the repair.
        pareto: choices between accuracy and fairness.
        fairea: the random trade-off that a repair must beat.
        flips: who changed.
        baselines: what other methods reach.
        cautions: what the reader must know.
        skipped: what was not measured, with the reason.
        notes: what was done to the data, a sentence each.
        outcome: the verdict.
    """

    schema_version: int = SCHEMA_VERSION
    tool: Tool
    command: str = "audit"
    seed: int = 0
    draws: int = 0
    gate_by: str = "interval"
    min_group: int = 30
    min_cell: int = 10
    inputs: Inputs
    before: tuple[Measurement, ...]
    after: tuple[Measurement, ...] = ()
    delta: tuple[Change, ...] = ()
    individual: tuple[Individual, ...] = ()
    individual_after: tuple[Individual, ...] = ()
    objective: Objective | None = None
    constraints: tuple[Constraint, ...] = ()
    patch: PatchCard | None = None
    search: Search | None = None
    pareto: tuple[ParetoPoint, ...] = ()
    fairea: Fairea | None = None
    flips: tuple[Flips, ...] = ()
    baselines: tuple[BaselineResult, ...] = ()
    cautions: tuple[Caution, ...] = ()
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    outcome: Outcome
