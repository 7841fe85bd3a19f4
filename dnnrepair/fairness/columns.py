"""Columns of a table as groups and classes; text is stripped, and nothing is dropped silently."""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from dnnrepair.errors import DataError, SettingError
from dnnrepair.fairness.rows import Attribute

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    Codes = NDArray[np.int64]

MISSING_LEVEL = "(missing)"
OTHER_LEVEL = "OTHER"
_MISSING_TEXTS = frozenset({"", "?"})
_MOST_LEVELS = 50
_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """How people are grouped.

    Attributes:
        sensitive: names of the columns.
        reference: level that others are compared with, by column; the largest by default.
        bins: limits that make a number a few groups, by column.
        missing: "error", "group" (a group of its own) or "drop" (the row).
        merge_small: rows below which groups are merged into one, 0 for never.
    """

    sensitive: tuple[str, ...]
    reference: Mapping[str, str] = field(default_factory=dict)
    bins: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    missing: str = "error"
    merge_small: int = 0


def texts(column: pd.Series[Any]) -> tuple[Codes, list[str]]:
    """Return place in the levels ``(rows,)`` and the levels as text; -1 where a value is missing.

    Whole numbers are written without a point, spaces around text are stripped, and NaN, nothing
    and "?" count as missing.
    """
    import pandas as pd

    codes, values = pd.factorize(column)
    names = [_text(value) for value in values]
    places: dict[str, int] = {}
    for name in names:
        if name not in _MISSING_TEXTS:
            places.setdefault(name, len(places))
    order = {name: place for place, name in enumerate(sorted(places, key=_order))}
    moved = np.array([order.get(name, -1) for name in names] + [-1], dtype=np.int64)
    return moved[np.asarray(codes)], list(order)


def attribute(frame: pd.DataFrame, name: str, grouping: Grouping, source: str) -> Attribute:
    """Return the groups that a column makes; -1 in its codes where a row is to be dropped.

    A block of columns ``name_level`` with one 1 in each row counts as a column, too.

    Args:
        frame: the table.
        name: of the column.
        grouping: how people are grouped.
        source: name of the table.

    Raises:
        DataError: if the column is missing, has gaps, one level or too many.
        SettingError: if the bins or the reference do not fit.
    """
    if name in frame.columns:
        columns: tuple[str, ...] = (name,)
        codes, levels = _levels(frame[name], name, grouping, source)
    else:
        columns, codes, levels = _one_hot(frame, name, source)
    codes, levels = _filled(codes, levels, name, grouping, source)
    codes, levels = _merged(codes, levels, grouping.merge_small)
    if len(levels) < 2:  # noqa: PLR2004
        known = f"only {levels[0]!r}" if levels else "no level"
        message = f"{source}: sensitive column {name!r} has {known}: there is nothing to compare"
        raise DataError(message)
    if len(levels) > _MOST_LEVELS:
        message = (
            f"{source}: sensitive column {name!r} has {len(levels)} levels, which looks "
            f"continuous; group them with --bins {name}=25,60"
        )
        raise DataError(message)
    reference = _reference(codes, levels, grouping.reference.get(name), name)
    return Attribute(
        name=name, levels=tuple(levels), codes=codes, reference=reference, columns=columns
    )


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return a hint: the nearest known name, or the first ones."""
    names = [str(one) for one in known]
    same = [one for one in names if one.lower() == name.lower()]
    near = same or get_close_matches(name, names, n=1)
    rest = ", ..." if len(names) > _SHOWN else ""
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names[:_SHOWN])}{rest}"


def _text(value: object) -> str:
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def _order(name: str) -> tuple[int, float, str]:
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name


def _levels(
    column: pd.Series[Any], name: str, grouping: Grouping, source: str
) -> tuple[Codes, list[str]]:
    limits = grouping.bins.get(name)
    if limits is None:
        return texts(column)
    if column.dtype.kind not in "iuf":
        message = f"{source}: --bins {name}: the column holds text, not numbers; leave it out"
        raise SettingError(message)
    values = column.to_numpy(dtype=np.float64)
    shown = [f"{limit:g}" for limit in limits]
    levels = [
        f"under {shown[0]}",
        *(f"{a} to under {b}" for a, b in pairwise(shown)),
        f"{shown[-1]} and over",
    ]
    places = np.searchsorted(np.array(limits), values, side="right").astype(np.int64)
    return np.where(np.isnan(values), -1, places), levels


def _one_hot(
    frame: pd.DataFrame, name: str, source: str
) -> tuple[tuple[str, ...], Codes, list[str]]:
    """Return a block of columns ``name_level`` as one."""
    columns = [str(c) for c in frame.columns if str(c).startswith((f"{name}_", f"{name}="))]
    if len(columns) < 2:  # noqa: PLR2004
        hint = suggestion(name, map(str, frame.columns))
        message = f"{source} has no sensitive column {name!r}; {hint}"
        raise DataError(message)
    block = frame[columns]
    numeric = all(block[c].dtype.kind in "biuf" for c in columns)
    values = block.to_numpy(dtype=np.float64) if numeric else np.zeros(block.shape)
    one = ((values == 0) | (values == 1)).all(axis=1) & (values.sum(axis=1) == 1)
    wrong = int((~one).sum())
    if wrong:
        message = (
            f"{source}: columns {', '.join(columns[:4])} look like a one-hot block of {name!r}, "
            f"but {wrong} rows do not have exactly one 1; put the attribute into one column"
        )
        raise DataError(message)
    levels = [column[len(name) + 1 :] for column in columns]
    return tuple(columns), values.argmax(axis=1).astype(np.int64), levels


def _filled(
    codes: Codes, levels: list[str], name: str, grouping: Grouping, source: str
) -> tuple[Codes, list[str]]:
    count = int((codes < 0).sum())
    if not count or grouping.missing == "drop":
        return codes, levels
    if grouping.missing == "group":
        return np.where(codes < 0, len(levels), codes), [*levels, MISSING_LEVEL]
    message = (
        f"{source}: sensitive column {name!r} has {count} missing values (empty, ?, NaN); choose "
        "--missing-sensitive group or --missing-sensitive drop"
    )
    raise DataError(message)


def _merged(codes: Codes, levels: list[str], least: int) -> tuple[Codes, list[str]]:
    sizes = np.bincount(codes[codes >= 0], minlength=len(levels))
    small = sizes < least
    if not small.any():
        return codes, levels
    kept = [level for level, few in zip(levels, small.tolist(), strict=True) if not few]
    order = {level: place for place, level in enumerate(kept)}
    moved = np.array([order.get(level, len(kept)) for level in levels] + [-1], dtype=np.int64)
    return moved[codes], [*kept, OTHER_LEVEL]


def _reference(codes: Codes, levels: list[str], wanted: str | None, name: str) -> int:
    if wanted is None:
        return int(np.bincount(codes[codes >= 0], minlength=len(levels)).argmax())
    if wanted not in levels:
        message = (
            f"--reference {name}={wanted}: there is no such level; {suggestion(wanted, levels)}"
        )
        raise SettingError(message)
    return levels.index(wanted)
