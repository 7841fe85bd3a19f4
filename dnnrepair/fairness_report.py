"""What an audit or a fairness repair has to say: formats draw it, JSON stores it."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

from dnnrepair.report import SCHEMA_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """What measured.

    Attributes:
        name: "dnnrepair".
        version: of it.
        torch: version, "" if no network was run.
        numpy: version.
    """

    name: str = "dnnrepair"
    version: str
    torch: str = ""
    numpy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """A file that was read.

    Attributes:
        role: "model", "predictions", "test", and of a repair "repair" and "select".
        path: as the user named it.
        sha256: of its bytes, "" if it is no file.
        rows: how many it holds or gave, None for a model.
    """

    role: str
    path: str
    sha256: str = ""
    rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SensitiveAttribute:
    """An attribute by which people are grouped.

    Attributes:
        name: of the column; of an intersection, both names.
        levels: in order.
        reference: the level that others are compared with.
        is_model_input: whether the network reads it, None if unknown.
        parts: columns of an intersection, empty for a single column.
    """

    name: str
    levels: tuple[str, ...]
    reference: str
    is_model_input: bool | None = None
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What was measured on what.

    Attributes:
        files: that were read.
        task: "binary", "multiclass" or "regression".
        label: name of the column.
        classes: values of the label; of two, the second is positive.
        positive: the value that counts as favorable, "" if there is none.
        threshold: of the score, NaN if there was none.
        weight: name of the column of weights, "" for none.
        sensitive: the attributes and their intersections.
    """

    files: tuple[InputFile, ...]
    task: str
    label: str
    classes: tuple[str, ...] = ()
    positive: str = ""
    threshold: float = nan
    weight: str = ""
    sensitive: tuple[SensitiveAttribute, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with its 95 % interval; NaN where undefined.

    Attributes:
        id: what it is, such as "tpr".
        value: of it.
        low: lower end.
        high: upper end.
        count: rows that it rests on, NaN if that is not a number of rows.
    """

    id: str
    value: float
    low: float = nan
    high: float = nan
    count: float = nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One group and what was measured of it.

    Attributes:
        attribute: name of the attribute or intersection.
        level: of it.
        n: rows.
        n_pos: rows with the positive label, NaN without two classes.
        n_neg: the others.
        eligible: it has enough rows for all rates.
        reason: why not, "" if it has.
        rates: its rates with intervals.
    """

    attribute: str
    level: str
    n: int
    n_pos: float = nan
    n_neg: float = nan
    eligible: bool = True
    reason: str = ""
    rates: tuple[Estimate, ...] = ()

    def rate(self, name: str) -> Estimate:
        """Return the rate of that name, NaN if it was not measured."""
        return next((one for one in self.rates if one.id == name), Estimate(id=name, value=nan))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A group compared with the reference group in one rate.

    Attributes:
        attribute: name of the attribute.
        rate: that is compared.
        level: of the group.
        reference: level of the other group.
        value: the group's rate less the reference's.
        low: lower end of the interval, simultaneous over all groups (Bonferroni).
        high: upper end.
        p: of no difference, adjusted for the number of groups (Holm).
    """

    attribute: str
    rate: str
    level: str
    reference: str
    value: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Disparity:
    """What one metric says of one attribute.

    Attributes:
        id: of the metric.
        title: of the metric.
        attribute: name of the attribute.
        over: "max" or "mean" over classes, "" where there is one positive class.
        value: NaN if undefined.
        low: lower end of its 95 % interval.
        high: upper end.
        noise_floor: what would be found on average if all groups were treated alike.
        worst_pair: the levels furthest apart, empty if undefined.
        limit: that was set, None for none.
        ratio: larger is fairer.
        method: how the interval was made: "bootstrap" or "score".
        gate: it counts for the verdict.
        verdict: "pass", "fail", "inconclusive", or "" without a limit.
        reason: of the verdict, or of being undefined.
        excluded: levels that it could not take into account.
    """

    id: str
    title: str
    attribute: str
    over: str = ""
    value: float
    low: float
    high: float
    noise_floor: float = nan
    worst_pair: tuple[str, ...] = ()
    limit: float | None = None
    ratio: bool = False
    method: str = ""
    gate: bool = False
    verdict: str = ""
    reason: str = ""
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What was measured of one network on one part of the data.

    Attributes:
        part: "test", and of a repair "repair" and "select".
        overall: numbers of all rows.
        groups: of all attributes and intersections.
        disparities: of all attributes and intersections.
        pairs: single differences to the reference groups.
    """

    part: str
    overall: tuple[Estimate, ...]
    groups: tuple[Group, ...]
    disparities: tuple[Disparity, ...]
    pairs: tuple[Pair, ...] = ()


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
class Individual:
    """What happens to single predictions if only the sensitive attribute is changed.

    Attributes:
        attribute: name of the attribute.
        flip_rate: share of rows whose prediction changes with some other level.
        independence: mean over rows of the largest change of the score (of the value).
        rows: that were tried.
        reason: why it was not measured, "" if it was.
    """

    attribute: str
    flip_rate: Estimate | None = None
    independence: Estimate | None = None
    rows: int = 0
    reason: str = ""


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
        individual: by attribute.
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
