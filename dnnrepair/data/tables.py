"""Tables: CSV and Parquet, read by pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dnnrepair.data.files import Arrays
from dnnrepair.data.labels import numbered
from dnnrepair.errors import DataError
from dnnrepair.frames import check_numeric, no_column, read_frame

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from torch import Tensor

    from dnnrepair.data.samples import DataOptions


def read_table(path: Path, options: DataOptions) -> Arrays:
    """Return features ``(rows, columns)`` and the labels of a table.

    Text labels become class numbers in alphabetical order; floating-point labels stay values.

    Raises:
        DataError: if a column is missing, not numeric or has gaps.
    """
    frame = read_frame(path)
    for name in (*options.features, *filter(None, [options.label])):
        if name not in frame.columns:
            raise DataError(no_column(path, name, frame))
    names = options.features or tuple(c for c in frame.columns if c != options.label)
    features = frame[list(names)]
    check_numeric(path, features)
    inputs = torch.from_numpy(features.to_numpy(dtype="float32", copy=True))
    if not options.label:
        return Arrays(inputs=(inputs,), notes=("no labels: name their column with --label",))
    targets, notes = _labels(path, frame[options.label])
    return Arrays(inputs=(inputs,), targets=targets, notes=notes)


def _labels(path: Path, column: pd.Series[float]) -> tuple[Tensor, tuple[str, ...]]:
    if column.isna().any():
        message = f"{path}: {int(column.isna().sum())} labels are missing in {column.name!r}"
        raise DataError(message)
    if column.dtype.kind in "biu":
        return torch.from_numpy(column.to_numpy(dtype="int64", copy=True)), ()
    if column.dtype.kind == "f":
        return torch.from_numpy(column.to_numpy(dtype="float32", copy=True)), ()
    return numbered([str(value) for value in column])
