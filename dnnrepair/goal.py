"""What is to be fixed and what must not break: from the user's words to inputs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import DataError, NothingToFixError, SettingError
from dnnrepair.indices import marked, read_indices
from dnnrepair.kinds import Kind, error_types, listed
from dnnrepair.risk import Risk
from dnnrepair.targets import Targets, targets_at, targets_of

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.answers import Answers

__all__ = ["Aim", "Goal", "NothingToFixError", "aim", "error_types", "read_indices"]

FEWEST = 4  # targets with which a repair can be searched, chosen and judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What the user asked for.

    Attributes:
        fix: "top" for the most frequent error type, "all", "6" for all errors of a class, "6:0"
            for those that are taken for another, or "*:0" for all that are taken for it.
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


def aim(goal: Goal, answers: Answers, *, fewest: int = FEWEST) -> Aim:
    """Return which inputs a goal means.

    Args:
        goal: what the user asked for.
        answers: of the untouched network.
        fewest: targets that are needed.

    Raises:
        NothingToFixError: there is no such error.
        SettingError: the goal is impossible, or not for this kind of network.
        DataError: the data do not suffice, or the network answers NaN throughout.
    """
    _check_usable(answers)
    targets = _targets(goal, answers)
    count = int(targets.mask.sum())
    if count < fewest:
        message = (
            f"{count} to fix ({targets.words}) are too few: at least {fewest} are needed, some to "
            "search, to choose and to judge with; choose a more frequent error or give more data"
            f"{listed(answers)}"
        )
        raise DataError(message)
    protected, left_out = _protected(goal, answers, targets.mask)
    return Aim(
        targets=targets.mask,
        protected=protected,
        cost=goal.risk.of(answers),
        words=targets.words,
        pairs=tuple(pair for pair, _ in error_types(answers.at(targets.mask))),
        notes=(*targets.notes, *left_out, *_undefined(answers)),
    )


def aim_alike(goal: Goal, found: Aim, answers: Answers) -> Aim:
    """Return which inputs of other data a goal means: errors of the kinds that it meant before.

    Inputs that were named one by one are not in other data: errors of their kinds stand for those
    to fix, and all that are right for those to keep.

    Raises:
        DataError: the other data hold none.
        SettingError: as :func:`aim` does.
    """
    everywhere = replace(goal, protect_indices=None, protect=("all",))
    named = goal.fix_indices is not None or "top" in goal.fix
    kinds = tuple(f"{true}:{taken}" for true, taken in found.pairs) if named else goal.fix
    try:
        targets = targets_of(kinds or ("all",), answers)
    except NothingToFixError as error:
        message = f"the data that are to judge hold none of the errors to be fixed: {error}"
        raise DataError(message) from error
    kept = goal if goal.protect_indices is None else everywhere
    protected, _ = _protected(kept, answers, targets.mask)
    return replace(
        found,
        targets=targets.mask,
        protected=protected,
        cost=goal.risk.of(answers),
        notes=_undefined(answers),
    )


def _check_usable(answers: Answers) -> None:
    if bool(answers.undefined.all()):
        message = "every answer is NaN or infinite; `dnnrepair diagnose` tells where that begins"
        raise DataError(message)
    if bool(answers.correct.all()):
        message = f"the network gets all {len(answers)} inputs right"
        raise NothingToFixError(message)
    if not bool(answers.correct.any()):
        message = (
            f"the network gets none of {len(answers)} inputs right, so nothing would be kept; "
            "check labels, preprocessing and tolerance"
        )
        raise DataError(message)


def _targets(goal: Goal, answers: Answers) -> Targets:
    if goal.fix_indices is not None:
        return targets_at(goal.fix_indices, answers)
    return targets_of(goal.fix, answers)


def _protected(goal: Goal, answers: Answers, targets: Tensor) -> tuple[Tensor, tuple[str, ...]]:
    """Return what must stay right, and a note on what was left out."""
    if goal.protect_indices is None:
        named = torch.stack([_class(what, answers) for what in goal.protect]).any(0)
        return named & answers.correct, ()
    named = marked(goal.protect_indices, len(answers))
    both = int((named & targets).sum())
    if both:
        message = (
            f"{both} inputs are to be fixed and protected; what is wrong cannot stay right: "
            "take them out of one of the two"
        )
        raise SettingError(message)
    lost = int((named & ~answers.correct).sum())
    notes = (f"{lost} protected inputs are wrong already and were left out",) if lost else ()
    return named & answers.correct, notes


def _class(what: str, answers: Answers) -> Tensor:
    """Return the inputs of a class, or all."""
    if what == "all":
        return torch.ones_like(answers.correct)
    kind = Kind.parse(what, "--protect")
    if kind.true is None or kind.taken is not None:
        message = f"--protect {what} is unknown; give all, a class like 6, or a file of indices"
        raise SettingError(message)
    if answers.labels is None:
        message = f"--protect {what} names a class, and {answers.shortage}; give a file of indices"
        raise SettingError(message)
    kind.check(answers.classes)
    return answers.labels == kind.true


def _undefined(answers: Answers) -> tuple[str, ...]:
    count = int(answers.undefined.sum())
    return (f"{count} answers are NaN or infinite; they count as wrong",) if count else ()
