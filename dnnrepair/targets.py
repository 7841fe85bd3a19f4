"""Which wrong answers are to be fixed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import DataError, NothingToFixError, SettingError
from dnnrepair.indices import marked
from dnnrepair.kinds import Kind, error_types, listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from dnnrepair.answers import Answers


@dataclass(frozen=True, slots=True)
class Targets:
    """Which inputs are to be fixed.

    Attributes:
        mask: bool ``(n,)``; all of them are wrong.
        words: what they are, for people.
        notes: what the user should know.
    """

    mask: Tensor
    words: str
    notes: tuple[str, ...] = ()


def targets_at(indices: Sequence[int], answers: Answers) -> Targets:
    """Return the inputs that the user named, without those that are right.

    Raises:
        NothingToFixError: they are all right.
        SettingError: one is out of range, or there is none.
    """
    named = marked(indices, len(answers))
    mask = named & ~answers.correct
    right = int((named & answers.correct).sum())
    if not bool(mask.any()):
        message = f"the network gets all {right} inputs that were named right"
        raise NothingToFixError(message)
    notes = (f"{right} named inputs are right already and were left out",) if right else ()
    return Targets(mask, "chosen inputs", notes)


def targets_of(fix: Sequence[str], answers: Answers) -> Targets:
    """Return the errors of some kinds.

    Args:
        fix: "top" for the most frequent error type, "all", or as :meth:`Kind.parse` takes them.
        answers: of the untouched network.

    Raises:
        NothingToFixError: there is no such error.
        SettingError: a kind is none, or names classes that the network or its inputs do not have.
        DataError: no kind of error is the most frequent, because all answers are undefined.
    """
    parts = [_of_kind(what, answers) for what in fix]
    words = ", ".join(part.words for part in parts)
    mask = torch.stack([part.mask for part in parts]).any(0)
    if not bool(mask.any()):
        message = f"no input is misclassified as asked ({words}){listed(answers)}"
        raise NothingToFixError(message)
    return Targets(mask, words)


def _of_kind(what: str, answers: Answers) -> Targets:
    if what == "all" or (what == "top" and answers.labels is None):
        return Targets(~answers.correct, "all errors")
    kind = _top(answers) if what == "top" else Kind.parse(what, "--fix")
    if answers.labels is None or answers.predicted is None:
        message = (
            f"--fix {what} names a class, and {answers.shortage}; use --fix all or --fix-indices"
        )
        raise SettingError(message)
    kind.check(answers.classes)
    return Targets(~answers.correct & kind.holds(answers.labels, answers.predicted), str(kind))


def _top(answers: Answers) -> Kind:
    types = error_types(answers)
    if not types:
        message = "every wrong answer is NaN; `dnnrepair diagnose` tells where that comes from"
        raise DataError(message)
    return Kind(*types[0][0])
