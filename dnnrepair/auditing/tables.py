"""The table of an audit: rows with labels, attributes and what the network reads of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dnnrepair.errors import DataError
from dnnrepair.frames import is_table, no_column, read_frame

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

_FORMS = "give .csv, .parquet, or .npz with X, y and s_NAME"
_SENSITIVE = "s_"
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AuditTable:
    """A table with labels and attributes.

    Attributes:
        frame: its columns.
        name: as the user named it.
        inputs: of the network, ``(rows, ...)``, None where they are columns.
        notes: what was done to it, a sentence each.
    """

    frame: pd.DataFrame
    name: str
    inputs: NDArray[Any] | None = None
    notes: tuple[str, ...] = ()

    def at(self, places: NDArray[Any]) -> AuditTable:
        """Return some of the rows."""
        inputs = None if self.inputs is None else self.inputs[places]
        frame = self.frame.iloc[places].reset_index(drop=True)
        return replace(self, frame=frame, inputs=inputs)


def open_table(spec: str, label: str) -> AuditTable:
    """Return the table that ``spec`` names; the label of an ``.npz`` becomes a column ``label``.

    Raises:
        DataError: if it is not there or cannot be read.
    """
    path = Path(spec)
    if not path.is_file():
        message = f"{spec}: there is no such file; {_FORMS}"
        raise DataError(message)
    if path.suffix == ".npz":
        return _npz(path, label)
    if not is_table(path):
        message = f"{spec} is no table; {_FORMS}"
        raise DataError(message)
    frame = read_frame(path)
    frame.columns = [str(c).strip() for c in frame.columns]
    return AuditTable(frame=frame, name=spec)


def joined(table: AuditTable, predictions: AuditTable, identity: str | None) -> AuditTable:
    """Return the rows of a table with the columns of their predictions.

    Args:
        table: the rows.
        predictions: theirs, in any order.
        identity: column that tells which belongs to which.

    Raises:
        DataError: if rows cannot be told apart, or lack a prediction.
    """
    if identity is None:
        message = (
            f"{predictions.name} and {table.name}: nothing tells which prediction belongs to which "
            "row; name a column that both have with --id, or put all into one table"
        )
        raise DataError(message)
    for one in (table, predictions):
        if identity not in one.frame.columns:
            raise DataError(no_column(one.name, identity, one.frame))
        twice = one.frame[identity].duplicated()
        if twice.any():
            message = (
                f"{one.name}: {int(twice.sum())} values of --id {identity} stand there twice, such "
                f"as {one.frame[identity][twice].iloc[0]!r}"
            )
            raise DataError(message)
    ours, theirs = set(table.frame[identity]), set(predictions.frame[identity])
    if ours != theirs:
        lonely = sorted(map(str, ours ^ theirs))[:_SHOWN]
        message = (
            f"{predictions.name} and {table.name} do not hold the same rows: {len(ours - theirs)} "
            f"have no prediction, {len(theirs - ours)} predictions have no row (--id {identity}: "
            f"{', '.join(lonely)})"
        )
        raise DataError(message)
    added = [c for c in predictions.frame.columns if c not in table.frame.columns]
    found = table.frame.merge(predictions.frame[[identity, *added]], on=identity, how="left")
    return replace(table, frame=found)


def column(table: AuditTable, name: str) -> pd.Series[Any]:
    """Return a column.

    Raises:
        DataError: if there is none of that name.
    """
    if name not in table.frame.columns:
        raise DataError(no_column(table.name, name, table.frame))
    return table.frame[name]


def _npz(path: Path, label: str) -> AuditTable:
    import pandas as pd

    try:
        with np.load(path, allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
    except (OSError, ValueError) as error:
        message = f"{path} cannot be read: {error}; {_FORMS}"
        raise DataError(message) from error
    lower = {name.lower(): name for name in arrays}
    if "x" not in lower or "y" not in lower:
        message = f"{path} lacks X or y: it holds {', '.join(arrays)}; {_FORMS}"
        raise DataError(message)
    inputs, labels = arrays[lower["x"]], arrays[lower["y"]]
    columns = {label: labels}
    for name, values in arrays.items():
        if name.startswith(_SENSITIVE):
            columns[name.removeprefix(_SENSITIVE)] = values
    for name, values in columns.items():
        if values.ndim != 1 or len(values) != len(inputs):
            message = f"{path}: X has {len(inputs)} rows, but {name!r} has shape {values.shape}"
            raise DataError(message)
    return AuditTable(frame=pd.DataFrame(columns), name=str(path), inputs=inputs)
