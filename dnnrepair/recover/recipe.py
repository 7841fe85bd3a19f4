"""How a network is trained: loss, optimizer, schedule, clipping, precision, and when to stop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

from dnnrepair.errors import SettingError, UnknownNameError
from dnnrepair.recover.stopping import EarlyStopping

Parameters = Iterable[torch.nn.Parameter]
MakeOptimizer = Callable[[Parameters], Optimizer]
MakeSchedule = Callable[[Optimizer], LRScheduler]
Objective = Callable[[Tensor, Tensor], Tensor]

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_BY_STEP = ("OneCycleLR", "CyclicLR")  # what torch means to be called after each batch
_ABSTRACT = ("Optimizer", "LRScheduler", "_LRScheduler")


@dataclass(frozen=True, slots=True, kw_only=True)
class Distillation:
    """Learning from the answers of the original network beside the labels.

    Loss = (1 - weight) * task + weight * T^2 KL(softmax(teacher / T) || softmax(student / T))
    (Hinton, Vinyals and Dean 2015, arXiv:1503.02531); squared error where values are predicted.

    Attributes:
        weight: of the teacher, in [0, 1]; 1 needs no labels.
        temperature: T, above 0.
    """

    weight: float = 0.5
    temperature: float = 2.0

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            SettingError: a value lies outside of its range.
        """
        if not 0 <= self.weight <= 1:
            message = f"the weight of distillation is {self.weight}; give a number in [0, 1]"
            raise SettingError(message)
        if not (self.temperature > 0 and math.isfinite(self.temperature)):
            message = f"the temperature of distillation is {self.temperature}; give one above 0"
            raise SettingError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a network is trained.

    Attributes:
        epochs: passes over the training data, at most.
        batch_size: samples of a step, at least 2; a single one left over joins the batch before.
        optimizer: name of a class of ``torch.optim`` in any case, or what makes one.
        learning_rate: of a named optimizer.
        optimizer_settings: further arguments of a named optimizer.
        schedule: "" for a constant rate, name of a class of ``torch.optim.lr_scheduler``, or what
            makes one. Called after each epoch; ``OneCycleLR`` and ``CyclicLR`` after each step.
        schedule_settings: arguments of a named schedule; ``T_max`` and ``total_steps`` are known.
        clip_norm: largest norm of the whole gradient, above 0; None for any.
        clip_value: largest magnitude of a gradient's entries, above 0; None for any.
        stopping: when to end before the last epoch.
        seconds: of wall clock, after which no epoch is begun; None for any. How far it comes then
            depends on the machine.
        watch: what decides which epoch was best: ``loss`` or ``accuracy`` on the validation data.
        precision: type of the forward pass, a key of ``PRECISIONS`` (``torch.autocast``).
        distillation: learn from the original network, too; None for not.
        freeze_statistics: batch norms keep their running statistics and normalize by them.
    """

    epochs: int = 20
    batch_size: int = 64
    optimizer: str | MakeOptimizer = "AdamW"
    learning_rate: float = 1e-3
    optimizer_settings: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    schedule: str | MakeSchedule = "CosineAnnealingLR"
    schedule_settings: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    clip_norm: float | None = None
    clip_value: float | None = None
    stopping: EarlyStopping = field(default_factory=EarlyStopping)
    seconds: float | None = None
    watch: str = "loss"
    precision: str = "float32"
    distillation: Distillation | None = None
    freeze_statistics: bool = False

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            SettingError: a value lies outside of its range.
        """
        if self.epochs < 1 or self.batch_size < 2:  # noqa: PLR2004 - see the attribute
            message = f"{self.epochs} epochs of batches of {self.batch_size}; give 1 and 2 at least"
            raise SettingError(message)
        for name in ("learning_rate", "clip_norm", "clip_value"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                message = f"{name} is {value}; give a finite number above 0"
                raise SettingError(message)
        for name, known in (("watch", ("loss", "accuracy")), ("precision", tuple(PRECISIONS))):
            if getattr(self, name) not in known:
                message = f"{name} is {getattr(self, name)!r}; known: {', '.join(known)}"
                raise SettingError(message)

    def make_optimizer(self, parameters: Parameters) -> Optimizer:
        """Return the optimizer of some parameters.

        Raises:
            UnknownNameError: torch has none of that name.
            SettingError: it takes no such settings.
        """
        make: Callable[..., Optimizer]
        if callable(self.optimizer):
            return self.optimizer(parameters)
        make = _named(torch.optim, Optimizer, self.optimizer, "optimizer")
        try:
            return make(parameters, lr=self.learning_rate, **self.optimizer_settings)
        except (TypeError, ValueError) as error:
            message = f"torch.optim.{make.__name__}: {error}; change the optimizer's settings"
            raise SettingError(message) from error

    def make_schedule(self, optimizer: Optimizer, steps: int) -> LRScheduler | None:
        """Return the schedule of an optimizer's learning rate, None for a constant one.

        Args:
            optimizer: whose rate it sets.
            steps: in an epoch.

        Raises:
            UnknownNameError: torch has none of that name.
            SettingError: it takes no such settings.
        """
        if not self.schedule:
            return None
        if callable(self.schedule):
            return self.schedule(optimizer)
        make = _named(lr_scheduler, LRScheduler, self.schedule, "schedule")
        known: dict[str, dict[str, Any]] = {
            "CosineAnnealingLR": {"T_max": self.epochs},
            "OneCycleLR": {"total_steps": self.epochs * steps, "max_lr": self.learning_rate},
        }
        settings = {**known.get(make.__name__, {}), **self.schedule_settings}
        try:
            found: LRScheduler = make(optimizer, **settings)
        except (TypeError, ValueError) as error:
            message = f"lr_scheduler.{make.__name__}: {error}; change the schedule's settings"
            raise SettingError(message) from error
        return found

    def described(self) -> str:
        """Return what must agree for a training to go on, as one line."""
        names = [name for name in self.__dataclass_fields__ if name not in ("epochs", "seconds")]
        return repr([(name, _plain(getattr(self, name))) for name in ("epochs", *names)])


def by_step(schedule: LRScheduler) -> bool:
    """Tell whether a schedule is to be called after each step, not after each epoch."""
    return type(schedule).__name__ in _BY_STEP


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return sorted(value.items())
    return getattr(value, "__qualname__", value)


def _named(module: Any, kind: type, name: str, what: str) -> Any:  # noqa: ANN401 - a class of torch
    known = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, kind) and key not in _ABSTRACT
    }
    found = next((value for key, value in known.items() if key.lower() == name.lower()), None)
    if found is None:
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"
        message = f"torch has no {what} called {name!r}; {hint}"
        raise UnknownNameError(message)
    return found
