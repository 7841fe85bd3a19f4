"""What each kind of error costs."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import SettingError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

_NUMBER = re.compile(r"\d+", re.ASCII)
_HIGHEST = 1e6  # cost; sums of more could not be told from rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """What it costs to take a class for another.

    Attributes:
        costs: by class and by the class it is taken for; None stands for any.
        default: of all others.
    """

    costs: tuple[tuple[int | None, int | None, float], ...] = ()
    default: float = 1.0

    @classmethod
    def read(cls, path: Path) -> Risk:
        """Read costs from TOML: ``default = 1``, and a table ``[costs]`` with keys like "6:0".

        A ``*`` stands for any class; of several that apply the one with fewer stars counts.

        Raises:
            SettingError: if the file cannot be read, or a key or cost is none.
        """
        try:
            found = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            message = f"cannot read {path}: {error}"
            raise SettingError(message) from error
        unknown = sorted(found.keys() - {"default", "costs"})
        if unknown or not isinstance(found.get("costs", {}), dict):
            what = unknown[0] if unknown else "costs"
            message = f"{path}: {what!r} is unknown; give default = 1 and a table [costs]"
            raise SettingError(message)
        costs = tuple(
            (*_kind(key, path), _cost(cost, f"{path}: {key}"))
            for key, cost in found.get("costs", {}).items()
        )
        default = _cost(found.get("default", 1.0), f"{path}: default")
        return cls(costs=tuple(sorted(costs, key=_stars)), default=default)

    def table(self, classes: int) -> Tensor:
        """Return the cost of each error, ``(true, predicted)``; 0 on the diagonal.

        Raises:
            SettingError: if a class is out of range.
        """
        table = torch.full((classes, classes), self.default)
        for true, taken, cost in self.costs:
            for label in (true, taken):
                if label is not None:
                    check_class(label, classes)
            rows = slice(None) if true is None else slice(true, true + 1)
            columns = slice(None) if taken is None else slice(taken, taken + 1)
            table[rows, columns] = cost
        return table.fill_diagonal_(0)


def check_class(label: int, classes: int) -> None:
    """Refuse a class that the network does not have.

    Raises:
        SettingError: with the range.
    """
    if not 0 <= label < classes:
        message = f"class {label} is out of range: the network has {classes}, 0 to {classes - 1}"
        raise SettingError(message)


def _kind(key: str, path: Path) -> tuple[int | None, int | None]:
    parts = key.split(":")
    if len(parts) != 2 or not all(p == "*" or _NUMBER.fullmatch(p) for p in parts):  # noqa: PLR2004
        message = f'{path}: {key!r} is no error kind; write "6:0", "6:*" or "*:0"'
        raise SettingError(message)
    first, second = (None if part == "*" else int(part) for part in parts)
    return first, second


def _cost(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _HIGHEST:
        message = f"{where} = {value!r}; a cost is a number above 0, at most a million"
        raise SettingError(message)
    return float(value)


def _stars(entry: tuple[int | None, int | None, float]) -> int:
    return -sum(label is None for label in entry[:2])
