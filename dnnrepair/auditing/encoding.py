"""How the rows of a table become the input of a network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dnnrepair.data.called import run
from dnnrepair.data.preprocessing_file import read_preprocessing
from dnnrepair.errors import DataError
from dnnrepair.frames import check_numeric, no_column

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from dnnrepair.auditing.tables import AuditTable
    from dnnrepair.data.preprocessing import Preprocessing

    Inputs = NDArray[Any]


class Encoder(Protocol):
    """Makes inputs of rows."""

    def encode(self, frame: pd.DataFrame, source: str) -> Inputs:
        """Return ``(rows, ...)``.

        Raises:
            DataError: if the rows cannot be encoded.
        """
        ...

    def columns(self, frame: pd.DataFrame) -> tuple[str, ...]:
        """Return the columns that it may read."""
        ...


@dataclass(frozen=True, slots=True)
class Plain:
    """Takes numeric columns as they are.

    Attributes:
        features: names of the columns, empty for all but those left out.
        leave: columns that are no input.
    """

    features: tuple[str, ...]
    leave: frozenset[str]

    def encode(self, frame: pd.DataFrame, source: str) -> Inputs:
        """Return ``(rows, columns)``."""
        for name in self.features:
            if name not in frame.columns:
                raise DataError(no_column(source, name, frame))
        chosen = frame[list(self.columns(frame))]
        text = [str(c) for c in chosen.columns if chosen[c].dtype.kind not in "biuf"]
        if text:
            message = (
                f"{source}: columns {', '.join(text[:4])} are text; say how they become numbers "
                "with --preprocess, or choose numeric columns with --features"
            )
            raise DataError(message)
        check_numeric(source, chosen)
        return chosen.to_numpy(dtype=np.float32)

    def columns(self, frame: pd.DataFrame) -> tuple[str, ...]:
        """Return the features, or all columns that are not left out."""
        rest = tuple(str(c) for c in frame.columns if c not in self.leave)
        return self.features or rest


@dataclass(frozen=True, slots=True)
class Fitted:
    """Applies a preprocessing that was fitted before."""

    preprocessing: Preprocessing

    def encode(self, frame: pd.DataFrame, source: str) -> Inputs:
        """Return ``(rows, inputs)``."""
        return self.preprocessing.encode(frame, source)

    def columns(self, frame: pd.DataFrame) -> tuple[str, ...]:  # noqa: ARG002
        """Return the columns of the preprocessing."""
        return tuple(column.name for column in self.preprocessing.columns)


@dataclass(frozen=True, slots=True)
class Called:
    """Lets code of the user's own make the inputs.

    Attributes:
        spec: ``package.module:callable``, which takes a DataFrame and returns an array.
        leave: columns that are no input.
    """

    spec: str
    leave: frozenset[str]

    def encode(self, frame: pd.DataFrame, source: str) -> Inputs:
        """Return ``(rows, ...)``."""
        made = run(self.spec, lambda function: function(frame.copy()))
        try:
            inputs = np.asarray(made)
            inputs = inputs.astype(np.float32) if inputs.dtype.kind in "bfO" else inputs
        except (TypeError, ValueError) as error:
            message = f"{self.spec} returned what is no array of numbers: {error}"
            raise DataError(message) from error
        if inputs.ndim == 0 or len(inputs) != len(frame):
            message = (
                f"{self.spec} returned shape {inputs.shape} for the {len(frame)} rows of {source}; "
                "it must return one input for each row, in order"
            )
            raise DataError(message)
        return inputs

    def columns(self, frame: pd.DataFrame) -> tuple[str, ...]:
        """Return all columns that may be an input."""
        return tuple(str(c) for c in frame.columns if c not in self.leave)


def encoder(preprocess: str | None, features: tuple[str, ...], leave: frozenset[str]) -> Encoder:
    """Return what ``--preprocess`` and ``--features`` ask for.

    Raises:
        SettingError: if a preprocessing cannot be read.
    """
    if preprocess is None:
        return Plain(features, leave)
    if Path(preprocess).suffix == ".toml":
        return Fitted(read_preprocessing(Path(preprocess)))
    return Called(preprocess, leave)


def inputs_of(table: AuditTable, how: Encoder) -> Inputs:
    """Return the inputs of all rows, all of them finite.

    Raises:
        DataError: if the rows cannot be encoded, or are not finite.
    """
    if table.inputs is not None:
        inputs = table.inputs
        inputs = inputs.astype(np.float32) if inputs.dtype == np.float64 else inputs
    else:
        inputs = how.encode(table.frame, table.name)
    if inputs.dtype.kind == "f":
        bad = ~np.isfinite(inputs).reshape(len(inputs), -1).all(axis=1)
        if bad.any():
            message = (
                f"{table.name}: the inputs of {int(bad.sum())} rows hold NaN or infinity, first in "
                f"row {int(bad.argmax())}; remove or fill them"
            )
            raise DataError(message)
    return inputs
