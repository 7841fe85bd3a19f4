"""From the columns of a table to a network's input: fitted once, applied the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dnnrepair.errors import DataError
from dnnrepair.frames import no_column

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    from numpy.typing import NDArray

    Inputs = NDArray[np.float32]

MISSING = "?"  # the level of what is empty, NaN or a question mark
_MOST_LEVELS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Numeric:
    """A column of numbers, which becomes one input.

    Attributes:
        name: of the column.
        mean: subtracted.
        std: divided by, above 0.
        fill: stands in for missing values, None where these are errors.
    """

    name: str
    mean: float = 0.0
    std: float = 1.0
    fill: float | None = None

    @property
    def width(self) -> int:
        """Number of inputs."""
        return 1

    def encode(self, column: pd.Series[Any], source: str) -> Inputs:
        """Return ``(rows, 1)``."""
        if column.dtype.kind not in "biuf":
            message = f"{source}: column {self.name!r} holds text, but its preprocessing is numeric"
            raise DataError(message)
        values = column.to_numpy(dtype=np.float64)
        bad = ~np.isfinite(values)
        if bad.any() and (self.fill is None or np.isinf(values).any()):
            message = (
                f"{source}: column {self.name!r} has {int(bad.sum())} missing or infinite values; "
                "give the column a fill in the preprocessing, or drop the rows"
            )
            raise DataError(message)
        values = np.nan_to_num(values, nan=self.fill or 0.0)
        return np.asarray((values - self.mean) / self.std, dtype=np.float32)[:, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Categorical:
    """A column of names, which becomes an input for each level.

    Attributes:
        name: of the column.
        levels: in the order of the inputs.
        unknown: what a level is that is not among them: "error" or "zeros".
    """

    name: str
    levels: tuple[str, ...] = field()
    unknown: str = "error"

    @property
    def width(self) -> int:
        """Number of inputs."""
        return len(self.levels)

    def encode(self, column: pd.Series[Any], source: str) -> Inputs:
        """Return ``(rows, levels)``."""
        import pandas as pd

        codes, found = pd.factorize(column, use_na_sentinel=False)
        known = {level: place for place, level in enumerate(self.levels)}
        places = np.array([known.get(level_of(v), -1) for v in found], dtype=np.int64)[codes]
        if (places < 0).any() and self.unknown == "error":
            strange = next(level_of(v) for v in found if level_of(v) not in known)
            count = int((places < 0).sum())
            message = (
                f"{source}: column {self.name!r} holds {strange!r}, in all {count} rows with "
                'levels that the preprocessing does not know; add them, or set unknown = "zeros"'
            )
            raise DataError(message)
        blocks = np.zeros((len(column), len(self.levels)), dtype=np.float32)
        rows = np.flatnonzero(places >= 0)
        blocks[rows, places[rows]] = 1
        return blocks


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a table becomes input.

    Attributes:
        columns: in the order of the inputs.
    """

    columns: tuple[Numeric | Categorical, ...]

    @property
    def width(self) -> int:
        """Number of inputs."""
        return sum(column.width for column in self.columns)

    def encode(self, frame: pd.DataFrame, source: str) -> Inputs:
        """Return ``(rows, inputs)``.

        Raises:
            DataError: if a column is missing or holds what the preprocessing does not know.
        """
        for column in self.columns:
            if column.name not in frame.columns:
                raise DataError(no_column(source, column.name, frame))
        blocks = [column.encode(frame[column.name], source) for column in self.columns]
        return np.concatenate(blocks, axis=1)


def fit_preprocessing(
    frame: pd.DataFrame, source: str, *, features: Iterable[str] = (), leave: Iterable[str] = ()
) -> Preprocessing:
    """Fit a preprocessing to a table: mean and standard deviation, or the levels that occur.

    Args:
        frame: the table.
        source: its name.
        features: columns to use, all by default.
        leave: columns that are no input, such as the label.

    Raises:
        DataError: if a column is missing, is constant text, or has too many levels.
    """
    left = set(leave)
    names = tuple(features) or tuple(str(c) for c in frame.columns if c not in left)
    for name in (*names, *left):
        if name not in frame.columns:
            raise DataError(no_column(source, name, frame))
    return Preprocessing(tuple(_fitted(frame[name], name, source) for name in names))


def _fitted(column: pd.Series[Any], name: str, source: str) -> Numeric | Categorical:
    if column.dtype.kind in "iuf":
        values = column.to_numpy(dtype=np.float64)
        known = values[np.isfinite(values)]
        if not known.size:
            message = f"{source}: column {name!r} is empty; leave it out with --features"
            raise DataError(message)
        mean, std = float(known.mean()), float(known.std())
        return Numeric(
            name=name, mean=mean, std=std or 1.0, fill=mean if len(known) < len(values) else None
        )
    levels = sorted({level_of(value) for value in column.unique()})
    if len(levels) > _MOST_LEVELS:
        message = (
            f"{source}: column {name!r} has {len(levels)} levels; leave it out with --features"
        )
        raise DataError(message)
    return Categorical(name=name, levels=tuple(levels))


def level_of(value: object) -> str:
    """Return a value as the name of a level, :data:`MISSING` for none."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return MISSING
    text = str(value).strip()
    return MISSING if text in ("", "nan", "<NA>") else text
