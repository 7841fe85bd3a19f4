"""Training by a function that the user supplies."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from dnnrepair.data.called import run
from dnnrepair.errors import SettingError
from dnnrepair.recover.criterion import Criterion, check_labeled, measured
from dnnrepair.recover.recovered import Epoch, Recovered, RecoveryError
from dnnrepair.recover.training import copied

if TYPE_CHECKING:
    from collections.abc import Callable

    from dnnrepair.data import ArraySamples
    from dnnrepair.recover.lesson import Lesson

    Train = Callable[[nn.Module, ArraySamples, ArraySamples, torch.Generator], nn.Module | None]

_BATCH = 256


def recover_with(
    function: Train,
    module: nn.Module,
    lesson: Lesson,
    *,
    generator: torch.Generator,
) -> Recovered:
    """Return what a user's function makes of a copy of a network.

    What is worse than the network as it was, on the validation data, is not kept.

    Args:
        function: called with a copy of the network, the training and the validation data, whose
            ``inputs`` and ``targets`` are tensors, and a generator; it trains the copy, or returns
            another network.
        module: the network; it is left exactly as it is.
        lesson: what is learned; its validation data and its loss judge.
        generator: for what is random.

    Raises:
        DataError: there are no labels.
        RecoveryError: the function raised, or returned something that is no network.
    """
    criterion = Criterion.of(lesson.loss, None, None)
    check_labeled(lesson.valid, criterion)
    work = copied(module)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            returned = function(work.train(), lesson.train, lesson.valid, generator)
    except Exception as error:
        message = (
            f"the training function {_name(function)} raised {type(error).__name__}: {error}; "
            "the network is as it was"
        )
        raise RecoveryError(message) from error
    trained = work if returned is None else returned
    if not isinstance(trained, nn.Module):
        message = (
            f"the training function {_name(function)} returned {type(trained).__name__}; "
            "return a network, or None after training the one it was given"
        )
        raise RecoveryError(message)
    history = tuple(
        Epoch(number=number, valid_loss=found[0], valid_accuracy=found[1])
        for number, found in enumerate(
            measured(one, lesson.valid, criterion, _BATCH) for one in (copied(module), trained)
        )
    )
    return _better(copied(module), trained, history, _name(function))


def training_function(spec: str) -> Train:
    """Return the function that ``package.module:callable`` or ``file.py:callable`` names.

    The user named this code, so it may run.

    Raises:
        SettingError: it is no function, or not named so.
        DataError: it is not there, or its module raises.
    """
    form = "name a function of network, training data, validation data and generator, as in "
    form += "train.py:teach"
    if ":" not in spec:
        message = f"--train {spec} has no colon; {form}"
        raise SettingError(message)
    found: object = run(spec, lambda named: named)
    if not callable(found):
        message = f"--train {spec} is {type(found).__name__}, which cannot be called; {form}"
        raise SettingError(message)
    return cast("Train", found)


def _better(
    before: nn.Module, after: nn.Module, history: tuple[Epoch, ...], name: str
) -> Recovered:
    old, new = (epoch.valid_loss for epoch in history)
    if new < old or (math.isfinite(new) and not math.isfinite(old)):
        return Recovered(module=after.eval(), history=history, best=1, reason=f"{name} is done")
    what = f"raised the loss from {old:.4g} to {new:.4g}"
    if not math.isfinite(new):
        what = f"left a loss of {new}"
    note = f"{name} {what}; went back to the network as it came"
    return Recovered(module=before.eval(), history=history, best=0, reason=note, notes=(note,))


def _name(function: object) -> str:
    return str(getattr(function, "__qualname__", type(function).__name__))
