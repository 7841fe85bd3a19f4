"""What comes of a training, epoch by epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dnnrepair.errors import DnnRepairError

if TYPE_CHECKING:
    from torch import nn


class RecoveryError(DnnRepairError):
    """A network cannot be trained as it was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One pass over the training data; number 0 is the network as it came.

    Attributes:
        number: of the epoch, from 0.
        rate: learning rate in its last step, 0 for number 0.
        loss: mean training loss during it; that of number 0 is NaN: nothing was trained yet.
        valid_loss: mean loss on the validation data after it.
        valid_accuracy: share of right answers there, in [0, 1]; NaN where values are predicted.
        gradient: largest norm of a step's gradient before clipping.
        clipped: share of its steps whose gradient was clipped, in [0, 1].
    """

    number: int
    rate: float = 0.0
    loss: float = float("nan")
    valid_loss: float
    valid_accuracy: float = float("nan")
    gradient: float = 0.0
    clipped: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """A trained copy of a network.

    Attributes:
        module: the copy, in evaluation mode, with the tensors of its best epoch.
        history: all epochs, the untrained state first.
        best: number of the epoch whose tensors were kept; 0 if training never helped.
        reason: why training ended.
        notes: what the user should know, a sentence each.
    """

    module: nn.Module
    history: tuple[Epoch, ...]
    best: int
    reason: str
    notes: tuple[str, ...] = ()

    @property
    def kept(self) -> Epoch:
        """The epoch whose tensors were kept."""
        return self.history[self.best]
