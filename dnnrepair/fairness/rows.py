"""The rows of an audit as numbers: who is in which group, what is true, what was predicted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from dnnrepair.fairness.counts import calibration, confusion, tabulated
from dnnrepair.fairness.metric import TWO_CLASSES
from dnnrepair.fairness.resampling import Counts, Remembered, ScoredCounts
from dnnrepair.fairness.resampling import Rows as DrawnRows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dnnrepair.fairness.resampling import Source

    Numbers = NDArray[np.float64]
    Whole = NDArray[np.integer[Any]]

_MOST_VALUES = 256  # at which distributions of predicted values are compared


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Attribute:
    """Which group each row belongs to.

    Attributes:
        name: of the attribute.
        levels: names of the groups.
        codes: ``(rows,)`` places in ``levels``.
        reference: place of the group that others are compared with.
        parts: names of the attributes that an intersection is made of.
        columns: of the table that hold it; several for a one-hot block.
    """

    name: str
    levels: tuple[str, ...]
    codes: Whole
    reference: int
    parts: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    def at(self, places: NDArray[Any]) -> Attribute:
        """Return the attribute of some rows."""
        return replace(self, codes=self.codes[places])


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """What an audit needs to know of each row.

    Attributes:
        attributes: by which people are grouped.
        labels: ``(rows,)`` class numbers; of two, 1 is positive. Values of a regression.
        predictions: ``(rows,)`` likewise.
        classes: values of the label in order, empty for a regression.
        scores: ``(rows,)`` probability of the positive class, None if unknown.
        weights: ``(rows,)`` above 0, None if all count alike.
    """

    attributes: tuple[Attribute, ...]
    labels: NDArray[Any]
    predictions: NDArray[Any]
    classes: tuple[str, ...] = ()
    scores: Numbers | None = None
    weights: Numbers | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def task(self) -> str:
        """One of "binary", "multiclass" and "regression"."""
        if not self.classes:
            return "regression"
        return "binary" if len(self.classes) == TWO_CLASSES else "multiclass"

    @property
    def tables(self) -> tuple[str, ...]:
        """Kinds of tables that can be made."""
        if self.task == "regression":
            return ("errors", "distribution")
        scored = self.scores is not None and self.task == "binary"
        return ("confusion", "calibration") if scored else ("confusion",)

    def source(self, kind: str, attribute: Attribute) -> Source:
        """Return a table of counts by group, and what redraws it."""
        key = (kind, attribute.name)
        if key not in self._sources:
            self._sources[key] = self._source(kind, attribute)
        return self._sources[key]

    def cells(self, attribute: Attribute) -> Numbers:
        """Return how many rows ``(groups, labels, predictions)`` there are, without weights."""
        if self.weights is None:
            return self.source("confusion", attribute).table
        return self._table("confusion", attribute, None)

    @cached_property
    def _sources(self) -> dict[tuple[str, str], Source]:
        return {}

    def _source(self, kind: str, attribute: Attribute) -> Source:
        base = self.weights
        if base is not None or kind == "errors":

            def tabulate(times: Numbers) -> Numbers:
                return self._table(kind, attribute, times if base is None else times * base)

            known = self._table(kind, attribute, base)
            return Remembered(DrawnRows(known, tabulate, len(self)))
        table = self._table(kind, attribute, None)
        return ScoredCounts(table) if kind == "calibration" else Counts(table)

    def effective(self, attribute: Attribute) -> Numbers:
        """Return ``(groups,)`` how many rows a unit of weight counts for (Kish 1965)."""
        count = len(attribute.levels)
        if self.weights is None:
            return np.ones(count)
        sums = np.bincount(attribute.codes, weights=self.weights, minlength=count)
        squares = np.bincount(attribute.codes, weights=self.weights**2, minlength=count)
        return np.divide(sums, squares, out=np.zeros(count), where=squares > 0)

    def _table(self, kind: str, attribute: Attribute, weights: Numbers | None) -> Numbers:
        count = len(attribute.levels)
        if kind == "confusion":
            return confusion(
                attribute.codes,
                self.labels,
                self.predictions,
                group_count=count,
                class_count=len(self.classes),
                weights=weights,
            )
        if kind == "calibration":
            assert self.scores is not None  # noqa: S101 - see tables
            return calibration(
                attribute.codes, self.labels, self.scores, group_count=count, weights=weights
            )
        if kind == "distribution":
            bins, shape = self._bins, (count, int(self._bins.max()) + 1)
            return tabulated((attribute.codes, bins), shape, weights)
        values = self._values
        weighted = values if weights is None else values * weights
        columns = [np.bincount(attribute.codes, weights=w, minlength=count) for w in weighted]
        return np.stack(columns, axis=-1).astype(np.float64)

    @cached_property
    def _values(self) -> Numbers:
        """Return what is summed for a regression, ``(4, rows)``."""
        errors = self.predictions - self.labels
        ones = np.ones(len(self))
        return np.stack([ones, errors, np.abs(errors), self.predictions])

    @cached_property
    def _bins(self) -> Whole:
        """Return the place of each prediction among the values at which they are compared."""
        values = np.unique(self.predictions)
        if len(values) > _MOST_VALUES:
            values = np.unique(np.quantile(values, np.linspace(0, 1, _MOST_VALUES)))
        return np.minimum(np.searchsorted(values, self.predictions), len(values) - 1)


def intersections(attributes: tuple[Attribute, ...]) -> Iterator[Attribute]:
    """Yield an attribute for each pair; its levels are all combinations, with rows or without."""
    for first, second in combinations(attributes, 2):
        levels = [f"{a}, {b}" for a in first.levels for b in second.levels]
        width = len(second.levels)
        yield Attribute(
            name=f"{first.name} and {second.name}",
            levels=tuple(levels),
            codes=first.codes * width + second.codes,
            reference=first.reference * width + second.reference,
            parts=(first.name, second.name),
        )
