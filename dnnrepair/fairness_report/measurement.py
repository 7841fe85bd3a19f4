"""What was measured of one network on one part of the data."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan


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
class CalibrationBin:
    """Rows whose scores lie close together.

    Attributes:
        score: mean of the scores, in [0, 1].
        share: of rows with the positive label.
        low: lower end of its 95 % interval.
        high: upper end.
        count: rows.
    """

    score: float
    share: float
    low: float
    high: float
    count: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """How well the scores of one group part and predict its labels.

    Attributes:
        attribute: name of the attribute.
        level: of it.
        auc: area under the ROC curve, with the interval of DeLong et al. 1988; its count are the
            rows.
        roc: false and true positive rates as the threshold falls, from (0, 0) to (1, 1).
        threshold: the rates at the threshold that decides.
        bins: calibration, by rising score; bins without rows are left out.
    """

    attribute: str
    level: str
    auc: Estimate
    roc: tuple[tuple[float, float], ...]
    threshold: tuple[float, float]
    bins: tuple[CalibrationBin, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What was measured of one network on one part of the data.

    Attributes:
        part: "test", and of a repair "repair" and "select".
        overall: numbers of all rows.
        groups: of all attributes and intersections.
        disparities: of all attributes and intersections.
        pairs: single differences to the reference groups.
        curves: of each group that has rows enough, where there are scores of two classes.
    """

    part: str
    overall: tuple[Estimate, ...]
    groups: tuple[Group, ...]
    disparities: tuple[Disparity, ...]
    pairs: tuple[Pair, ...] = ()
    curves: tuple[Curves, ...] = ()


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
