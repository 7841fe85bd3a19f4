"""What is to be fixed and what must not break: from the user's words to inputs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from dnnrepair.errors import DataError, DnnRepairError, SettingError
from dnnrepair.risk import Risk, check_class

if TYPE_CHECKING:
    from pathlib import Path

    from dnnrepair.answers import Answers

FEWEST = 4  # targets with which a repair can be searched, chosen and judged
_SHOWN = 6  # error types in a message
_NUMBER = re.compile(r"\d+", re.ASCII)


class NothingToFixError(DnnRepairError):
    """There is no error of the kind that was to be fixed; no failure of anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What the user asked for.

    Attributes:
        fix: "top" for the most frequent error type, "all", "6" for all errors of a class, or "6:0"
            for those that are taken for another.
        fix_indices: inputs to fix, counted from 0; they outweigh ``fix``.
        protect: "all" or a class: the inputs that must not break.
        protect_indices: inputs that must not break; they outweigh ``protect``.
        max_broken: share of the right inputs that may break, None for no limit.
        risk: what errors cost.
        tolerance: by which a predicted value may be off, in units of the targets.
    """

    fix: tuple[str, ...] = ("top",)
    fix_indices: tuple[int, ...] | None = None
    protect: tuple[str, ...] = ("all",)
    protect_indices: tuple[int, ...] | None = None
    max_broken: float | None = None
    risk: Risk = field(default_factory=Risk)
    tolerance: float = 1.0

    @property
    def kept(self) -> str:
        """What must not break, for people."""
        if self.protect_indices is not None:
            return f"{len(self.protect_indices)} chosen inputs"
        return ", ".join("all" if kind == "all" else f"class {kind}" for kind in self.protect)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """A goal on certain inputs.

    Attributes:
        targets: which are to be fixed, bool ``(n,)``; all of them are wrong.
        protected: which must stay right, bool ``(n,)``; all of them are right.
        cost: of a wrong answer to each, ``(n,)``, above 0.
        words: what is to be fixed, for people.
        pairs: the error types concerned, true and predicted class.
        notes: what the user should know.
    """

    targets: Tensor
    protected: Tensor
    cost: Tensor
    words: str
    pairs: tuple[tuple[int, int], ...] = ()
    notes: tuple[str, ...] = ()


def aim(goal: Goal, answers: Answers, classes: int) -> Aim:
    """Return which inputs a goal means.

    Args:
        goal: what the user asked for.
        answers: of the untouched network.
        classes: how many there are, 0 for regression.

    Raises:
        NothingToFixError: there is no such error.
        SettingError: the goal is impossible, or not for this kind of network.
        DataError: the data do not suffice, or the network answers NaN throughout.
    """
    _check_defined(answers)
    targets, words = _targets(goal, answers, classes)
    if int(targets.sum()) < FEWEST:
        message = (
            f"{int(targets.sum())} inputs to fix ({words}) are too few: some are needed to search, "
            f"to choose and to judge, {FEWEST} at least; choose a more frequent error or more data"
            f"{_kinds(answers)}"
        )
        raise DataError(message)
    protected, notes = _protected(goal, answers, targets, classes)
    undefined = int(answers.undefined.sum())
    if undefined:
        notes = (*notes, f"{undefined} answers are NaN or infinite; they count as wrong")
    return Aim(
        targets=targets,
        protected=protected,
        cost=_costs(goal.risk, answers, classes),
        words=words,
        pairs=_pairs(answers, targets),
        notes=notes,
    )


def aim_alike(goal: Goal, found: Aim, answers: Answers, classes: int) -> Aim:
    """Return which inputs of other data a goal means: errors of the types that it meant before.

    Raises:
        SettingError: as :func:`aim` does.
    """
    targets = ~answers.correct
    if found.pairs and answers.labels is not None and answers.predicted is not None:
        of_type = torch.zeros_like(targets)
        for true, taken in found.pairs:
            of_type |= (answers.labels == true) & (answers.predicted == taken)
        targets &= of_type
    everywhere = replace(goal, protect_indices=None)
    protected, notes = _protected(everywhere, answers, targets, classes)
    return replace(
        found,
        targets=targets,
        protected=protected,
        cost=_costs(goal.risk, answers, classes),
        notes=notes,
    )


def error_types(answers: Answers) -> list[tuple[tuple[int, int], int]]:
    """Return each error type, true and predicted class, with its count; the most frequent first."""
    if answers.labels is None or answers.predicted is None:
        return []
    wrong = ~answers.correct & ~answers.undefined
    pairs = torch.stack([answers.labels[wrong], answers.predicted[wrong]], 1)
    kinds, counts = torch.unique(pairs, dim=0, return_counts=True)
    found = [((int(a), int(b)), int(n)) for (a, b), n in zip(kinds, counts, strict=True)]
    return sorted(found, key=lambda item: (-item[1], item[0]))


def read_indices(path: Path) -> tuple[int, ...]:
    """Return positions of inputs from a text file, one per line, or from ``.npy``.

    Raises:
        SettingError: if the file cannot be read, or holds anything else.
    """
    try:
        if path.suffix == ".npy":
            found = np.load(path, allow_pickle=False)
            if found.dtype.kind not in "iu":
                message = f"{path} holds {found.dtype} values; give whole numbers, from 0 on"
                raise SettingError(message)
            return tuple(found.reshape(-1).tolist())
        return tuple(int(line) for line in path.read_text("utf-8").split())
    except (OSError, ValueError) as error:
        message = f"cannot read {path}: {error}; give one number per line, from 0 on"
        raise SettingError(message) from error


def _targets(goal: Goal, answers: Answers, classes: int) -> tuple[Tensor, str]:
    wrong = ~answers.correct
    if not bool(wrong.any()):
        message = f"the network gets all {len(answers)} inputs right; there is nothing to fix"
        raise NothingToFixError(message)
    if goal.fix_indices is not None:
        chosen = marked(goal.fix_indices, len(answers))
        if not bool((chosen & wrong).any()):
            message = f"the network gets all {int(chosen.sum())} inputs that were named right"
            raise NothingToFixError(message)
        return chosen & wrong, f"{int((chosen & wrong).sum())} chosen inputs"
    kinds = ["all" if kind == "top" and answers.labels is None else kind for kind in goal.fix]
    parts = [_of_kind(kind, answers, classes) for kind in kinds]
    found = torch.stack([mask for mask, _ in parts]).any(0)
    words = ", ".join(words for _, words in parts)
    if not bool(found.any()):
        message = f"no input is misclassified as asked ({words}){_kinds(answers)}"
        raise NothingToFixError(message)
    return found, words


def _of_kind(kind: str, answers: Answers, classes: int) -> tuple[Tensor, str]:
    wrong = ~answers.correct
    if kind == "all":
        return wrong, "all errors"
    labels, predicted = answers.labels, answers.predicted
    if labels is None or predicted is None:
        message = (
            f"--fix {kind} names classes, and an input here has no single one; use --fix all or "
            "--fix-indices"
        )
        raise SettingError(message)
    if kind == "top":
        types = error_types(answers)
        if not types:
            message = "every wrong answer is NaN; `dnnrepair diagnose` tells where that comes from"
            raise DataError(message)
        kind = "{}:{}".format(*types[0][0])
    true, taken = _parsed(kind, classes)
    if taken is None:
        return wrong & (labels == true), f"errors of class {true}"
    found = wrong & (labels == true) & (predicted == taken)
    return found, f"class {true} taken for {taken}"


def _parsed(kind: str, classes: int) -> tuple[int, int | None]:
    parts = kind.split(":")
    if len(parts) > 2 or not all(_NUMBER.fullmatch(part) for part in parts):  # noqa: PLR2004
        message = f"--fix {kind} is unknown; give top, all, a class like 6, or a pair like 6:0"
        raise SettingError(message)
    labels = [int(part) for part in parts]
    for label in labels:
        check_class(label, classes)
    if len(set(labels)) < len(labels):
        message = f"--fix {kind}: a class taken for itself is no error; give true:predicted"
        raise SettingError(message)
    return labels[0], labels[1] if len(labels) > 1 else None


def _protected(
    goal: Goal, answers: Answers, targets: Tensor, classes: int
) -> tuple[Tensor, tuple[str, ...]]:
    if goal.protect_indices is not None:
        chosen = marked(goal.protect_indices, len(answers))
        both = int((chosen & targets).sum())
        if both:
            message = (
                f"{both} inputs are to be fixed and protected; what is wrong cannot stay right: "
                "take them out of one of the two"
            )
            raise SettingError(message)
        lost = int((chosen & ~answers.correct).sum())
        notes = (f"{lost} protected inputs are wrong already and were left out",) if lost else ()
        return chosen & answers.correct, notes
    chosen = torch.zeros_like(targets)
    for kind in goal.protect:
        if kind == "all":
            return answers.correct, ()
        if answers.labels is None or not _NUMBER.fullmatch(kind):
            message = f"--protect {kind} is unknown; give all, a class like 6, or a file of indices"
            raise SettingError(message)
        check_class(int(kind), classes)
        chosen |= answers.labels == int(kind)
    return chosen & answers.correct, ()


def marked(indices: tuple[int, ...], count: int) -> Tensor:
    """Return which of ``count`` inputs are named, bool.

    Raises:
        SettingError: if there is none, or one is out of range.
    """
    outside = [index for index in indices if not 0 <= index < count]
    if outside or not indices:
        what = f"input {outside[0]} is out of range" if outside else "no input is named"
        message = f"{what}; the data have {count}, 0 to {count - 1}"
        raise SettingError(message)
    mask = torch.zeros(count, dtype=torch.bool)
    mask[list(indices)] = True
    return mask


def _costs(risk: Risk, answers: Answers, classes: int) -> Tensor:
    """Return what a wrong answer to each input costs; to a right one, the worst it could become."""
    if answers.labels is None or answers.predicted is None:
        return torch.ones(len(answers))
    table = risk.table(classes)
    now = table[answers.labels, answers.predicted]
    return torch.where(answers.correct, table.amax(1)[answers.labels], now)


def _pairs(answers: Answers, targets: Tensor) -> tuple[tuple[int, int], ...]:
    if answers.labels is None or answers.predicted is None:
        return ()
    pairs = torch.stack([answers.labels[targets], answers.predicted[targets]], 1)
    return tuple((int(a), int(b)) for a, b in torch.unique(pairs, dim=0))


def _kinds(answers: Answers) -> str:
    """Return which errors there are, to go on a message."""
    types = error_types(answers)
    if not types:
        return ""
    shown = ", ".join(f"{a}:{b} ({n})" for (a, b), n in types[:_SHOWN])
    more = f" and {len(types) - _SHOWN} more" if len(types) > _SHOWN else ""
    return f"; errors (true:predicted) are {shown}{more}"


def _check_defined(answers: Answers) -> None:
    if bool(answers.undefined.all()):
        message = "every answer is NaN or infinite; `dnnrepair diagnose` tells where that begins"
        raise DataError(message)
