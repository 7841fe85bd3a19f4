"""What each kind of error costs."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import SettingError
from dnnrepair.kinds import Kind

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from dnnrepair.answers import Answers

_HIGHEST = 1e6  # cost; sums of more could not be told from rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """What it costs to take a class for another.

    Attributes:
        costs: of kinds of errors; of several that hold the last counts.
        default: of all others.
    """

    costs: tuple[tuple[Kind, float], ...] = ()
    default: float = 1.0

    @classmethod
    def read(cls, path: Path) -> Risk:
        """Read costs from TOML: ``default = 1``, and a table ``[costs]`` with keys like "6:0".

        A ``*`` stands for any class, and "6" is "6:*". Of several that hold the one with fewer
        stars counts, of two with one star the later.

        Raises:
            SettingError: if the file cannot be read, or a key or cost is none.
        """
        try:
            found = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            message = f"cannot read {path}: {error}; give TOML with a table [costs]"
            raise SettingError(message) from error
        table = found.get("costs", {})
        unknown = sorted(found.keys() - {"default", "costs"})
        if unknown or not isinstance(table, dict):
            what = unknown[0] if unknown else "costs"
            message = f"{path}: {what!r} is unknown; give default = 1 and a table [costs]"
            raise SettingError(message)
        costs = [
            (Kind.parse(key, f"{path}:"), _cost(value, f"{path}: {key}"))
            for key, value in table.items()
        ]
        return cls(
            costs=tuple(sorted(costs, key=lambda item: -item[0].breadth)),
            default=_cost(found.get("default", 1.0), f"{path}: default"),
        )

    def of(self, answers: Answers) -> Tensor:
        """Return what a wrong answer to each input costs; to a right one, the worst it could be.

        Returns:
            ``(n,)``, above 0.

        Raises:
            SettingError: if a class is out of range, or inputs have no single class.
        """
        if not self.costs:
            return torch.full((len(answers),), self.default)
        if answers.labels is None or answers.predicted is None:
            message = f"costs of error kinds need one class per input; here {answers.shortage}"
            raise SettingError(message)
        for kind, _ in self.costs:
            kind.check(answers.classes)
        table = self.table(answers.classes)
        worst = table.amax(1)[answers.labels]
        known = ~answers.correct & ~answers.undefined
        return torch.where(known, table[answers.labels, answers.predicted], worst)

    def table(self, classes: int) -> Tensor:
        """Return the cost of each error, ``(true, predicted)``; 0 on the diagonal."""
        table = torch.full((classes, classes), self.default)
        for kind, cost in self.costs:
            rows, columns = (
                slice(None) if label is None else slice(label, label + 1)
                for label in (kind.true, kind.taken)
            )
            table[rows, columns] = cost
        return table.fill_diagonal_(0)


def _cost(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _HIGHEST:
        message = f"{where} = {value!r}; a cost is a number above 0, at most a million"
        raise SettingError(message)
    return float(value)
