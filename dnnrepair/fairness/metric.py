"""What a fairness metric is: a size computed from coordinates of the groups.

Coordinates are rates of the groups (or their logarithms), and the size of most metrics is a
seminorm of them, so that by the triangle inequality the size of the errors of the coordinates
bounds the error of the size. Intervals stand on that; see :mod:`dnnrepair.fairness.sureness`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar

import numpy as np

from dnnrepair.fairness.counts import one_vs_rest
from dnnrepair.fairness.rates import ACCURACY, MACRO_RECALL, rate
from dnnrepair.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

WHOLE_TABLE = frozenset({ACCURACY, MACRO_RECALL})  # rates that need no positive class
TWO_CLASSES = 2


class Metric(Protocol):
    """One fairness metric.

    Attributes:
        id: its name in options and JSON.
        title: its name in reports.
        alias: its short name in options, "" for none.
        table: of counts that it reads: "confusion", "calibration", "errors" or "distribution".
        rates: of the groups that it compares; also what its pairwise differences are of.
        ratio: 1 is ideal and larger is fairer; else 0 is ideal and smaller is fairer.
        level: it is one number of all groups and no gap between them.
        limit: that it must not exceed (of a ratio: fall short of), None for none.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    alias: ClassVar[str]
    table: ClassVar[str]
    rates: ClassVar[tuple[str, ...]]
    ratio: ClassVar[bool]
    level: ClassVar[bool]
    limit: ClassVar[float | None]

    def coordinates(self, table: Numbers) -> Numbers:
        """Return ``(..., rates, classes, groups)`` of tables ``(..., groups, ...)``."""
        ...

    def size(self, coordinates: Numbers, *, mean: bool = False) -> Numbers:
        """Return the size ``(...)``; over classes the largest, or their mean."""
        ...

    def folded(self, gaps: Numbers, *, mean: bool = False) -> Numbers:
        """Return the size ``(...)`` that gaps ``(..., rates, classes)`` have together."""
        ...

    def reach(self, errors: Numbers, *, mean: bool = False) -> Numbers:
        """Return by how much ``(...)`` such errors of the coordinates can change the size."""
        ...

    def shown(self, size: Numbers) -> Numbers:
        """Return the value that is reported for a size."""
        ...


M = TypeVar("M", bound=Metric)
metrics: Registry[Metric] = Registry("fairness metric", "dnnrepair.fairness.metrics")


def metric(kind: type[M]) -> type[M]:
    """File a class of metrics under its id."""
    metrics.file(kind.id, kind())
    return kind


def named(name: str) -> Metric:
    """Return the metric of that id or alias.

    Raises:
        UnknownNameError: if there is none.
    """
    short = {metrics[key].alias: key for key in metrics if metrics[key].alias}
    return metrics[short.get(name, name)]


def value(found: Metric, table: Numbers, *, mean: bool = False) -> Numbers:
    """Return what a metric says of tables ``(..., groups, ...)``: an array ``(...)``.

    Args:
        found: the metric.
        table: of counts, of the kind that ``found.table`` names.
        mean: over the classes, where there are more than two; else the largest.
    """
    return found.shown(found.size(found.coordinates(table), mean=mean))


def spread(coordinates: Numbers) -> Numbers:
    """Return largest less smallest over the last axis; NaN unless two groups are known."""
    known = ~np.isnan(coordinates)
    largest = np.max(np.where(known, coordinates, -np.inf), axis=-1)
    smallest = np.min(np.where(known, coordinates, np.inf), axis=-1)
    enough = known.sum(axis=-1) >= TWO_CLASSES
    same = largest == smallest  # also where both are infinite
    apart = np.where(same, 0.0, largest - np.where(same, 0.0, smallest))
    undefined = ~enough | (same & np.isinf(largest))
    return np.where(undefined, np.nan, apart)


class Gap:
    """The distance between the groups that are furthest apart in a rate, or in several."""

    alias: ClassVar[str] = ""
    table: ClassVar[str] = "confusion"
    rates: ClassVar[tuple[str, ...]]
    ratio: ClassVar[bool] = False
    level: ClassVar[bool] = False
    limit: ClassVar[float | None] = None
    across: ClassVar[Callable[..., Numbers]] = np.max  # of several rates

    def coordinates(self, table: Numbers) -> Numbers:
        """Return ``(..., rates, classes, groups)``; of two classes only the positive one."""
        found = np.stack([_of_classes(name, table) for name in self.rates], axis=-3)
        if not self.ratio:
            return found
        with np.errstate(divide="ignore"):
            return np.log(found)

    def size(self, coordinates: Numbers, *, mean: bool = False) -> Numbers:
        """Return the gap ``(...)``; NaN where a rate is known of fewer than two groups."""
        return self.folded(spread(coordinates), mean=mean)

    def folded(self, gaps: Numbers, *, mean: bool = False) -> Numbers:
        """Return the largest gap of the classes, or their mean, taken across the rates."""
        over = gaps.mean(axis=-1) if mean else gaps.max(axis=-1)
        return np.asarray(type(self).across(over, axis=-1))

    def reach(self, errors: Numbers, *, mean: bool = False) -> Numbers:
        """Return the size of the errors: a seminorm obeys the triangle inequality."""
        return self.size(errors, mean=mean)

    def shown(self, size: Numbers) -> Numbers:
        """Return the gap itself, or smallest over largest rate."""
        return np.exp(-size) if self.ratio else size


def _of_classes(name: str, counts: Numbers) -> Numbers:
    """Return a rate ``(..., classes, groups)``."""
    if name in WHOLE_TABLE or counts.shape[-1] == TWO_CLASSES:
        return rate(name, counts)[..., None, :]
    return rate(name, one_vs_rest(counts))
