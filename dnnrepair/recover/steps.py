"""One step of an optimizer: forward, backward, clipped, in the precision that was asked for."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from dnnrepair.outputs import prediction_of
from dnnrepair.recover.recipe import PRECISIONS

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from torch import nn
    from torch.optim import Optimizer

    from dnnrepair.probe import Batch
    from dnnrepair.recover.criterion import Criterion
    from dnnrepair.recover.recipe import Recipe


class DivergedError(Exception):
    """The loss is no longer finite."""


@dataclass(kw_only=True)
class Steps:
    """Takes steps.

    Attributes:
        module: what is trained.
        recipe: how.
        criterion: what is minimized.
        optimizer: of the module's parameters.
        scaler: of gradients in half precision.
        device: where the module lies.
        last_loss: of the last step.
        norms: of gradients before they were clipped, since the list was emptied.
    """

    module: nn.Module
    recipe: Recipe
    criterion: Criterion
    optimizer: Optimizer
    scaler: torch.amp.GradScaler
    device: torch.device
    last_loss: float = math.nan
    norms: list[float] = field(default_factory=list)

    def take(self, batch: Batch) -> float:
        """Take one step, and return the mean loss of the batch before it.

        Raises:
            DivergedError: that is not finite; no step was taken.
        """

        def closure() -> float:
            self.optimizer.zero_grad()
            with self._autocast():
                prediction = prediction_of(self.module(*batch.inputs))
            loss = self.criterion(prediction, batch)
            self.last_loss = loss.item()
            if not math.isfinite(self.last_loss):
                raise DivergedError
            self.scaler.scale(loss).backward()
            self.scaler.unscale_(self.optimizer)
            self._clip()
            return self.last_loss

        if not self.scaler.is_enabled():
            return float(self.optimizer.step(closure))
        loss = closure()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss

    def clipped(self) -> float:
        """Return the share of steps whose gradient was clipped by norm."""
        return sum(norm > self._limit for norm in self.norms) / max(len(self.norms), 1)

    @property
    def _limit(self) -> float:
        return self.recipe.clip_norm if self.recipe.clip_norm is not None else math.inf

    def _clip(self) -> None:
        """Note the gradient's norm, and clip it."""
        trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.norms.append(float(torch.nn.utils.clip_grad_norm_(trained, self._limit)))
        if self.recipe.clip_value is not None:
            torch.nn.utils.clip_grad_value_(trained, self.recipe.clip_value)

    def _autocast(self) -> AbstractContextManager[object]:
        if self.recipe.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, PRECISIONS[self.recipe.precision])
