"""Tables as pandas reads them: CSV and Parquet; no network is needed to look at one."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from dnnrepair.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

_TABLES = (".csv", ".tsv", ".parquet")
_PACKED = (".gz", ".bz2", ".xz", ".zip", ".zst")


def is_table(path: Path) -> bool:
    """Tell whether a file's name is that of a table."""
    return _kind(path) in _TABLES


def read_frame(path: Path) -> pd.DataFrame:
    """Return a table as pandas reads it.

    Raises:
        DataError: if it cannot be read, or holds no rows.
    """
    frame = _read(path)
    if frame.empty:
        message = f"{path} holds no rows"
        raise DataError(message)
    return frame


def no_column(path: Path | str, name: str, frame: pd.DataFrame) -> str:
    """Return the message that a table lacks a column."""
    columns = [str(c) for c in frame.columns]
    near = get_close_matches(name, columns, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(columns[:12])}"
    return f"{path} has no column {name!r}; {hint}"


def check_numeric(path: Path | str, features: pd.DataFrame) -> None:
    """Make sure that columns can be an input.

    Raises:
        DataError: if some are not numeric or have gaps.
    """
    text = [str(c) for c in features.columns if features[c].dtype.kind not in "biuf"]
    if text:
        message = (
            f"{path}: columns that are not numeric: {', '.join(text[:6])}; encode them as for "
            "training, or choose columns with --features (and the labels with --label)"
        )
        raise DataError(message)
    gaps = features.isna().sum()
    if gaps.any():
        column = str(gaps.idxmax())
        message = f"{path}: column {column!r} has {gaps.max()} missing values; fill or drop them"
        raise DataError(message)


def _kind(path: Path) -> str:
    suffixes = [suffix for suffix in path.suffixes if suffix not in _PACKED]
    return suffixes[-1] if suffixes else ""


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        if _kind(path) == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, sep="\t" if _kind(path) == ".tsv" else ",")
    except ImportError as error:
        message = f"reading {path} needs pyarrow: pip install 'dnnrepair[parquet]'"
        raise DataError(message) from error
    except Exception as error:
        from dnnrepair.loading.quiet import first_line  # comes with torch: only where it is needed

        message = f"{path} cannot be read as a table: {first_line(error)}"
        raise DataError(message) from error
