"""Kinds of errors: a class, and the class that it is taken for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import SettingError

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.answers import Answers

ANY = "*"
_KIND = re.compile(r"(\d+|\*)(?::(\d+|\*))?", re.ASCII)
_SHOWN = 6  # error types in a message


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of errors.

    Attributes:
        true: the class of an input, None for any.
        taken: the class that it is taken for, None for any.
    """

    true: int | None
    taken: int | None = None

    @classmethod
    def parse(cls, text: str, where: str) -> Kind:
        """Return the kind in ``6:0``, ``6:*``, ``*:0`` or ``6``, which is ``6:*``.

        Args:
            text: as the user wrote it.
            where: the option or file, for messages.

        Raises:
            SettingError: if it is no kind of errors.
        """
        found = _KIND.fullmatch(text.strip())
        if found is None:
            message = f"{where} {text} is unknown; give a class like 6, or true:predicted like 6:0"
            raise SettingError(message)
        true, taken = (None if part in {None, ANY} else int(part) for part in found.groups())
        if true is not None and true == taken:
            message = f"{where} {text}: a class taken for itself is no error; give true:predicted"
            raise SettingError(message)
        return cls(true, taken)

    @property
    def breadth(self) -> int:
        """In how many ways it is open: 0 for one class taken for one other, up to 2."""
        return (self.true is None) + (self.taken is None)

    def check(self, classes: int) -> None:
        """Refuse a class that the network does not have.

        Raises:
            SettingError: with the range.
        """
        for label in (self.true, self.taken):
            if label is not None:
                check_class(label, classes)

    def holds(self, labels: Tensor, predicted: Tensor) -> Tensor:
        """Return where labels and predictions, int64 ``(n,)``, are of this kind, if wrong; bool."""
        found = torch.ones_like(labels, dtype=torch.bool)
        if self.true is not None:
            found &= labels == self.true
        if self.taken is not None:
            found &= predicted == self.taken
        return found

    def __str__(self) -> str:
        """Return the kind in words."""
        if self.true is None:
            return "all errors" if self.taken is None else f"errors taken for class {self.taken}"
        if self.taken is None:
            return f"errors of class {self.true}"
        return f"class {self.true} taken for {self.taken}"


def check_class(label: int, classes: int) -> None:
    """Refuse a class that the network does not have.

    Raises:
        SettingError: with the range.
    """
    if not 0 <= label < classes:
        message = f"class {label} is out of range: the network has {classes}, 0 to {classes - 1}"
        raise SettingError(message)


def error_types(answers: Answers) -> list[tuple[tuple[int, int], int]]:
    """Return each error type, true and predicted class, with its count; the most frequent first."""
    if answers.labels is None or answers.predicted is None:
        return []
    wrong = ~answers.correct & ~answers.undefined
    pairs = torch.stack([answers.labels[wrong], answers.predicted[wrong]], 1)
    kinds, counts = torch.unique(pairs, dim=0, return_counts=True)
    found = [((a, b), n) for (a, b), n in zip(kinds.tolist(), counts.tolist(), strict=True)]
    return sorted(found, key=lambda item: (-item[1], item[0]))


def listed(answers: Answers) -> str:
    """Return which errors there are, to go on a message; "" if none can be named."""
    types = error_types(answers)
    if not types:
        return ""
    shown = ", ".join(f"{a}:{b} ({n})" for (a, b), n in types[:_SHOWN])
    more = f" and {len(types) - _SHOWN} more" if len(types) > _SHOWN else ""
    return f"; errors (true:predicted) are {shown}{more}"
