"""What was measured on what, and with what."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """What measured.

    Attributes:
        name: "dnnrepair".
        version: of it.
        torch: version, "" if no network was run.
        numpy: version.
    """

    name: str = "dnnrepair"
    version: str
    torch: str = ""
    numpy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """A file that was read.

    Attributes:
        role: "model", "predictions", "test", and of a repair "repair" and "select".
        path: as the user named it.
        sha256: of its bytes, "" if it is no file.
        rows: how many it holds or gave, None for a model.
    """

    role: str
    path: str
    sha256: str = ""
    rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SensitiveAttribute:
    """An attribute by which people are grouped.

    Attributes:
        name: of the column; of an intersection, both names.
        levels: in order.
        reference: the level that others are compared with.
        is_model_input: whether the network reads it, None if unknown.
        parts: columns of an intersection, empty for a single column.
    """

    name: str
    levels: tuple[str, ...]
    reference: str
    is_model_input: bool | None = None
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What was measured on what.

    Attributes:
        files: that were read.
        task: "binary", "multiclass" or "regression".
        label: name of the column.
        classes: values of the label; of two, the second is positive.
        positive: the value that counts as favorable, "" if there is none.
        threshold: of the score, NaN if there was none.
        weight: name of the column of weights, "" for none.
        sensitive: the attributes and their intersections.
    """

    files: tuple[InputFile, ...]
    task: str
    label: str
    classes: tuple[str, ...] = ()
    positive: str = ""
    threshold: float = nan
    weight: str = ""
    sensitive: tuple[SensitiveAttribute, ...]
