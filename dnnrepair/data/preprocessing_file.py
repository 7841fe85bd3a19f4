"""A preprocessing as a TOML file that people can read and edit."""

from __future__ import annotations

import json
import tomllib
from math import isfinite
from typing import TYPE_CHECKING, Any

from dnnrepair.data.preprocessing import Categorical, Numeric, Preprocessing, level_of
from dnnrepair.errors import SettingError
from dnnrepair.settings import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEAD = """# How the columns of a table become the input of a network: written by
# `dnnrepair preprocess`. A numeric column becomes (value - mean) / std, where `fill` stands in for
# missing values; a categorical one becomes a block with a 1 at the place of its level. What is not
# among the levels is an error, or with unknown = "zeros" a block of zeros.
"""
_KEYS = {
    "numeric": ("name", "kind", "mean", "std", "fill"),
    "categorical": ("name", "kind", "levels", "unknown"),
}


def as_toml(found: Preprocessing) -> str:
    """Return a preprocessing as TOML, which :func:`read_preprocessing` reads."""
    return _HEAD + "".join(_block(column) for column in found.columns)


def read_preprocessing(path: Path) -> Preprocessing:
    """Return the preprocessing that a TOML file holds.

    Raises:
        SettingError: what is wrong with it, and where.
    """
    try:
        held = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        message = f"cannot read {path}: {error}; write one with `dnnrepair preprocess`"
        raise SettingError(message) from error
    tables = held.get("columns")
    if not isinstance(tables, list) or not tables or set(held) != {"columns"}:
        message = f"{path} holds no [[columns]] alone; write one with `dnnrepair preprocess`"
        raise SettingError(message)
    found = Preprocessing(tuple(_column(table, f"{path}: column {n + 1}")
                                for n, table in enumerate(tables)))  # fmt: skip
    names = [column.name for column in found.columns]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        message = f"{path}: column {twice!r} stands there twice"
        raise SettingError(message)
    return found


def _block(column: Numeric | Categorical) -> str:
    lines = ["", "[[columns]]", f"name = {_quoted(column.name)}"]
    if isinstance(column, Numeric):
        lines += ['kind = "numeric"', f"mean = {column.mean!r}", f"std = {column.std!r}"]
        lines += [f"fill = {column.fill!r}"] if column.fill is not None else []
    else:
        levels = ", ".join(map(_quoted, column.levels))
        lines += ['kind = "categorical"', f"levels = [{levels}]"]
        lines += [f"unknown = {_quoted(column.unknown)}"]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text).replace("\x7f", "\\u007f")


def _column(table: Any, where: str) -> Numeric | Categorical:  # noqa: ANN401 - whatever TOML holds
    kind = table.get("kind") if isinstance(table, dict) else None
    if kind not in _KEYS or not isinstance(table.get("name"), str):
        message = f'{where} needs a name and kind = "numeric" or "categorical"'
        raise SettingError(message)
    for key in table:
        if key not in _KEYS[kind]:
            message = f"{where} has an unknown key {key!r}; {nearest(key, _KEYS[kind])}"
            raise SettingError(message)
    if kind == "numeric":
        return _numeric(table, where)
    levels = table.get("levels")
    if not isinstance(levels, list) or not levels or not all(isinstance(x, str) for x in levels):
        message = f"{where} needs levels, a list of texts"
        raise SettingError(message)
    unknown = table.get("unknown", "error")
    if unknown not in ("error", "zeros") or len(set(levels)) < len(levels):
        message = f'{where}: levels must differ, and unknown is "error" or "zeros"'
        raise SettingError(message)
    stripped = tuple(level_of(level) for level in levels)
    return Categorical(name=table["name"], levels=stripped, unknown=unknown)


def _numeric(table: dict[str, Any], where: str) -> Numeric:
    numbers = dict(_numbers(table, where))
    if numbers.get("std", 1.0) <= 0:
        message = f"{where}: std must be above 0"
        raise SettingError(message)
    return Numeric(name=table["name"], **numbers)


def _numbers(table: dict[str, Any], where: str) -> Iterator[tuple[str, float]]:
    for key in ("mean", "std", "fill"):
        value = table.get(key)
        if value is None:
            continue
        if not isinstance(value, int | float) or isinstance(value, bool) or not isfinite(value):
            message = f"{where}: {key} must be a finite number, not {value!r}"
            raise SettingError(message)
        yield key, float(value)
