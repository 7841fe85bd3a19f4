"""Labels and predictions of a table as class numbers or values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dnnrepair.errors import DataError
from dnnrepair.fairness.columns import suggestion, texts
from dnnrepair.fairness.metric import TWO_CLASSES

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Codes = NDArray[np.int64]
    Numbers = NDArray[np.float64]

_OBVIOUS = (("0", "1"), ("False", "True"))  # the second is positive without asking
_MOST_CLASSES = 100
_SHOWN = 6


def is_regression(column: pd.Series[Any]) -> bool:
    """Tell whether labels are values: some have a fraction."""
    if column.dtype.kind != "f":
        return False
    values = column.to_numpy(dtype=np.float64)
    finite = values[np.isfinite(values)]
    return bool((finite % 1 != 0).any())


def class_numbers(
    column: pd.Series[Any], name: str, source: str, classes: tuple[str, ...] = ()
) -> tuple[Codes, tuple[str, ...]]:
    """Return class numbers ``(rows,)`` and the classes in order.

    Args:
        column: the labels.
        name: of the column.
        source: name of the table.
        classes: in the network's order; by default those that occur, numbers before text.

    Raises:
        DataError: if labels are missing, or are not among the classes.
    """
    if column.dtype.kind == "f" and not np.isfinite(column.to_numpy(dtype=np.float64)).all():
        count = int((~np.isfinite(column.to_numpy(dtype=np.float64))).sum())
        raise DataError(_missing(source, name, count))
    codes, levels = texts(column)
    if (codes < 0).any():
        raise DataError(_missing(source, name, int((codes < 0).sum())))
    if not classes:
        if len(levels) > _MOST_CLASSES:
            message = (
                f"{source}: label {name!r} has {len(levels)} values; give --task regress if it is "
                "a number to be predicted"
            )
            raise DataError(message)
        return codes, tuple(levels)
    for level in levels:
        if level not in classes:
            count = int((codes == levels.index(level)).sum())
            message = (
                f"{source}: column {name!r} holds {level!r} in {count} rows, which is not among "
                f"the classes {', '.join(classes[:_SHOWN])}; {suggestion(level, classes)}"
            )
            raise DataError(message)
    moved = np.array([classes.index(level) for level in levels], dtype=np.int64)
    return moved[codes], classes


def positive_last(
    classes: tuple[str, ...], positive: str | None, name: str, source: str
) -> tuple[str, ...]:
    """Return two classes with the positive one last; more than two as they are.

    Raises:
        DataError: if the positive value is unknown, is not one of two, or must be named.
    """
    if positive is not None and positive not in classes:
        message = (
            f"{source}: label {name!r} never has the value {positive!r} given as --positive; "
            f"{suggestion(positive, classes)}"
        )
        raise DataError(message)
    if len(classes) == 1:
        message = f"{source}: label {name!r} has one value only, {classes[0]!r}"
        raise DataError(message)
    if len(classes) > TWO_CLASSES:
        if positive is None:
            return classes
        shown = ", ".join(map(repr, classes[:_SHOWN]))
        message = (
            f"{source}: label {name!r} has {len(classes)} values ({shown}), and --positive is for "
            "two; leave it out to measure each class against the rest, or merge values"
        )
        raise DataError(message)
    if positive is None:
        if classes not in _OBVIOUS:
            message = (
                f"{source}: label {name!r} has the values {classes[0]!r} and {classes[1]!r}; name "
                "the favorable one with --positive"
            )
            raise DataError(message)
        return classes
    return (next(c for c in classes if c != positive), positive)


def finite_numbers(column: pd.Series[Any], name: str, source: str) -> Numbers:
    """Return a column of numbers.

    Raises:
        DataError: if it holds text, NaN or infinity.
    """
    if column.dtype.kind not in "iufb":
        message = f"{source}: column {name!r} holds text, not numbers"
        raise DataError(message)
    values = column.to_numpy(dtype=np.float64)
    bad = ~np.isfinite(values)
    if bad.any():
        message = (
            f"{source}: column {name!r} holds NaN or infinity in {int(bad.sum())} rows, first in "
            f"row {int(bad.argmax())}; remove or fill them"
        )
        raise DataError(message)
    return values


def probabilities(column: pd.Series[Any], name: str, source: str) -> Numbers:
    """Return scores in [0, 1].

    Raises:
        DataError: if they are no numbers, or lie outside.
    """
    values = finite_numbers(column, name, source)
    bad = (values < 0) | (values > 1)
    if bad.any():
        message = (
            f"{source}: {int(bad.sum())} scores in column {name!r} lie outside [0, 1], such as "
            f"{values[bad.argmax()]:g}; give probabilities, or decisions in a column 'pred'"
        )
        raise DataError(message)
    return values


def row_weights(column: pd.Series[Any], name: str, source: str) -> Numbers:
    """Return what each row counts.

    Raises:
        DataError: if a weight is negative or all are 0.
    """
    values = finite_numbers(column, name, source)
    if (values < 0).any():
        message = f"{source}: {int((values < 0).sum())} weights in column {name!r} are negative"
        raise DataError(message)
    if not values.any():
        message = f"{source}: all weights in column {name!r} are 0"
        raise DataError(message)
    return values


def _missing(source: str, name: str, count: int) -> str:
    return f"{source}: label {name!r} is missing or not finite in {count} rows; drop or fill them"
