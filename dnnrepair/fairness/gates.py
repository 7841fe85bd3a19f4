"""Limits, and what a value with its interval says of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, isfinite
from typing import TYPE_CHECKING

from dnnrepair.errors import SettingError
from dnnrepair.fairness.metric import metrics, named
from dnnrepair.fairness_report import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dnnrepair.fairness.metric import Metric
    from dnnrepair.fairness_report import Disparity

PASS, FAIL, INCONCLUSIVE = "pass", "fail", "inconclusive"
CODES = {PASS: 0, FAIL: 1, INCONCLUSIVE: 3}
BY_INTERVAL, BY_POINT = "interval", "point"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """What is asked of a network.

    Attributes:
        limits: by id of the metric; None lifts the metric's own limit.
        by: "interval", or "point" to look at values alone.
        min_group: rows below which a group is too small to judge.
        min_cell: tries below which a rate is too uncertain to judge.
        inconclusive_ok: too little data is no failure.
    """

    limits: Mapping[str, float | None] = field(default_factory=dict)
    by: str = BY_INTERVAL
    min_group: int = 30
    min_cell: int = 10
    inconclusive_ok: bool = False

    def limit(self, metric: Metric) -> float | None:
        """Return the limit of a metric, None for none."""
        return self.limits.get(metric.id, metric.limit)


def read_limits(texts: Iterable[str]) -> dict[str, float | None]:
    """Return limits by id from texts such as ``dp=0.05`` or ``accuracy_difference=none``.

    Raises:
        SettingError: if a text is no limit or a limit is out of range.
        UnknownNameError: if there is no such metric.
    """
    limits: dict[str, float | None] = {}
    for text in texts:
        name, _, value = (part.strip() for part in text.partition("="))
        metric = named(name)
        try:
            limit = None if value == "none" else float(value)
        except ValueError:
            limit = inf
        if limit is not None and not (isfinite(limit) and limit >= 0):
            message = f"--limit {text}: give a number of at least 0 or none, such as {name}=0.1"
            raise SettingError(message)
        if limit is not None and metric.ratio and limit > 1:
            message = f"--limit {text}: a ratio is at most 1; give {name}=0.8 or the like"
            raise SettingError(message)
        limits[metric.id] = limit
    return limits


def judged(
    value: float, low: float, high: float, limit: float, *, large_is_fair: bool, by: str
) -> str:
    """Return "pass" if the interval keeps the limit, "fail" if it misses it, else "inconclusive".

    Args:
        value: of the metric, NaN if undefined.
        low: lower end of its interval.
        high: upper end.
        limit: that it must not exceed, or not fall short of.
        large_is_fair: it must not fall short.
        by: "interval" or "point".
    """
    if not isfinite(value):
        return INCONCLUSIVE
    if by == BY_POINT:
        low = high = value
    if not (isfinite(low) and isfinite(high)):
        return INCONCLUSIVE
    keeps = low >= limit if large_is_fair else high <= limit
    misses = high < limit if large_is_fair else low > limit
    return PASS if keeps else FAIL if misses else INCONCLUSIVE


def outcome(disparities: Iterable[Disparity], gates: Gates) -> Outcome:
    """Return the verdict on all gates: one failure fails, else one doubt is inconclusive."""
    gated = [one for one in disparities if one.gate and one.verdict]
    found = {verdict: [d for d in gated if d.verdict == verdict] for verdict in CODES}
    if not gated:
        reason = "no metric with a limit could be measured"
        return _outcome(INCONCLUSIVE, (reason,), gates)
    if found[FAIL]:
        return _outcome(FAIL, tuple(map(_missed, found[FAIL])), gates)
    if found[INCONCLUSIVE]:
        return _outcome(INCONCLUSIVE, tuple(map(_open, found[INCONCLUSIVE])), gates)
    return _outcome(PASS, (f"all {len(gated)} limits are kept",), gates)


def large_is_fair(metric: Metric) -> bool:
    """Tell whether a metric's limit is a lower one."""
    return metric.ratio or metric.id == "worst_group_accuracy"


def known_limits() -> dict[str, float]:
    """Return the limits that hold unless others are given, by id of the metric."""
    own = {name: metrics[name].limit for name in metrics}
    return {name: limit for name, limit in own.items() if limit is not None}


def _outcome(status: str, reasons: tuple[str, ...], gates: Gates) -> Outcome:
    lenient = status == INCONCLUSIVE and gates.inconclusive_ok
    return Outcome(status=status, exit_code=0 if lenient else CODES[status], reasons=reasons)


def _missed(one: Disparity) -> str:
    pair = f" between {one.worst_pair[0]} and {one.worst_pair[1]}" if one.worst_pair else ""
    return (
        f"{one.title} by {one.attribute} is {one.value:.3f}{pair}, "
        f"beyond the limit of {one.limit:g}"
    )


def _open(one: Disparity) -> str:
    return f"{one.title} by {one.attribute}: {one.reason or 'the interval holds the limit'}"
