"""A training in progress: all that changes from step to step."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.lr_scheduler import ReduceLROnPlateau

from dnnrepair.recover.checkpoint import epochs_of, rows_of
from dnnrepair.recover.criterion import measured, on
from dnnrepair.recover.lesson import cuts, shuffled
from dnnrepair.recover.recipe import by_step
from dnnrepair.recover.recovered import Epoch, Recovered, RecoveryError
from dnnrepair.recover.steps import DivergedError, Steps
from dnnrepair.tensors import device_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn
    from torch.optim.lr_scheduler import LRScheduler

    from dnnrepair.recover.criterion import Criterion
    from dnnrepair.recover.lesson import Lesson
    from dnnrepair.recover.recipe import Recipe

_VALID_BATCH = 256


@dataclass(kw_only=True)
class Training:
    """A network in training, with all that a checkpoint has to hold.

    Attributes:
        module: what is trained; nobody else's.
        history: the epochs so far, the untrained state first.
        best: number of the best one.
        steps: what is done for each batch.
        began: when, on the clock of ``perf_counter``.
    """

    module: nn.Module
    lesson: Lesson
    recipe: Recipe
    criterion: Criterion
    generator: torch.Generator
    schedule: LRScheduler | None
    steps: Steps
    history: list[Epoch] = field(default_factory=list)
    best: int = 0
    began: float = field(default_factory=perf_counter)
    _kept: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        module: nn.Module,
        lesson: Lesson,
        recipe: Recipe,
        criterion: Criterion,
        generator: torch.Generator,
    ) -> Training:
        """Return a training that has not begun.

        Raises:
            SettingError: torch has no such optimizer or schedule.
            RecoveryError: the network has nothing to be trained, or there is too little data.
        """
        parameters = [p for p in module.parameters() if p.requires_grad]
        if not parameters:
            message = "no parameter of the network asks for a gradient; set requires_grad of some"
            raise RecoveryError(message)
        if lesson.train.size < 2:  # noqa: PLR2004 - a batch norm needs two
            message = f"{lesson.train.name} holds one sample; training needs two at least"
            raise RecoveryError(message)
        device = device_of(module.parameters())
        optimizer = recipe.make_optimizer(parameters)
        count = len(cuts(lesson.train.size, recipe.batch_size))
        return cls(
            module=module,
            lesson=lesson,
            recipe=recipe,
            criterion=criterion,
            generator=generator,
            schedule=recipe.make_schedule(optimizer, count),
            steps=Steps(
                module=module,
                recipe=recipe,
                criterion=criterion,
                optimizer=optimizer,
                scaler=torch.amp.GradScaler(device.type, enabled=recipe.precision == "float16"),
                device=device,
            ),
        )

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return self.steps.device

    @property
    def last_loss(self) -> float:
        """The loss of the last step, or the validation loss that was not finite."""
        return self.steps.last_loss

    def begin(self) -> None:
        """Measure the network as it is, and seed what it draws."""
        seed = int(torch.randint(2**62, (), generator=self.generator))
        torch.manual_seed(seed)
        loss, accuracy = self._measured()
        self.history = [Epoch(number=0, valid_loss=loss, valid_accuracy=accuracy)]
        self._keep()

    def state(self) -> dict[str, Any]:
        """Return all that is needed to go on."""
        cuda = self.device.type == "cuda"
        return {
            "module": self.module.state_dict(),
            "optimizer": self.steps.optimizer.state_dict(),
            "schedule": self.schedule.state_dict() if self.schedule else {},
            "scaler": self.steps.scaler.state_dict(),
            "generator": self.generator.get_state(),
            "random": [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if cuda else [])],
            "history": rows_of(self.history),
            "best": self.best,
            "kept": self._kept,
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that was kept."""
        self.module.load_state_dict(state["module"])
        self.steps.optimizer.load_state_dict(state["optimizer"])
        if self.schedule:
            self.schedule.load_state_dict(state["schedule"])
        if self.steps.scaler.is_enabled():
            self.steps.scaler.load_state_dict(state["scaler"])
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["random"][0])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state["random"][1])
        self.history = epochs_of(state["history"])
        self.best = state["best"]
        self._kept = {name: value.to(self.device) for name, value in state["kept"].items()}

    def epoch(self) -> Epoch | None:
        """Train for one epoch and return it, None if the loss is no longer finite."""
        try:
            loss = self._pass()
            valid_loss, accuracy = self._measured()
            if not math.isfinite(valid_loss):
                self.steps.last_loss = valid_loss
                return None
        except DivergedError:
            return None
        found = Epoch(
            number=len(self.history),
            rate=float(self.steps.optimizer.param_groups[0]["lr"]),
            loss=loss,
            valid_loss=valid_loss,
            valid_accuracy=accuracy,
            gradient=max(self.steps.norms, default=0.0),
            clipped=self.steps.clipped(),
        )
        self.history.append(found)
        if self._watched(found) < self._watched(self.history[self.best]):
            self._keep()
        if self.schedule is not None and not by_step(self.schedule):
            self._scheduled(valid_loss)
        return found

    def reason(self) -> str:
        """Return why training ends here, "" if it goes on."""
        if len(self.history) > self.recipe.epochs:
            return f"all {self.recipe.epochs} epochs are done"
        if self.recipe.seconds is not None and perf_counter() - self.began >= self.recipe.seconds:
            return f"{self.recipe.seconds:.3g} s are spent"
        return self.recipe.stopping.reason([self._watched(epoch) for epoch in self.history])

    def result(self, reason: str, notes: tuple[str, ...]) -> Recovered:
        """Return the network with the tensors of its best epoch."""
        self.module.load_state_dict(self._kept)
        return Recovered(
            module=self.module.eval(),
            history=tuple(self.history),
            best=self.best,
            reason=reason,
            notes=notes,
        )

    def _pass(self) -> float:
        """Take a step for each batch, in random order; return the mean loss."""
        self.module.train()
        if self.recipe.freeze_statistics:
            for layer in self.module.modules():
                if isinstance(layer, _BatchNorm):
                    layer.eval()
        self.steps.norms.clear()
        total = 0.0
        for batch in shuffled(self.lesson.train, self.recipe.batch_size, self.generator):
            total += self.steps.take(on(batch, self.device)) * len(batch)
            if self.schedule is not None and by_step(self.schedule):
                self.schedule.step()
        return total / self.lesson.train.size

    def _scheduled(self, valid_loss: float) -> None:
        if isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step(valid_loss)
        elif self.schedule is not None:
            self.schedule.step()

    def _measured(self) -> tuple[float, float]:
        return measured(self.module, self.lesson.valid, self.criterion, _VALID_BATCH)

    def _watched(self, epoch: Epoch) -> float:
        """Return what decides, less is better; infinite where it is undefined."""
        value = 1 - epoch.valid_accuracy if self.recipe.watch == "accuracy" else epoch.valid_loss
        return value if math.isfinite(value) else math.inf

    def _keep(self) -> None:
        self.best = len(self.history) - 1
        state = self.module.state_dict()
        self._kept = {name: value.detach().clone() for name, value in state.items()}
