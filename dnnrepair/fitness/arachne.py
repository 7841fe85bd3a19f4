"""Arachne's fitness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import SettingError
from dnnrepair.fitness.fitness import Weighted

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.fitness.outputs import Outputs


@dataclass(frozen=True, slots=True)
class Arachne(Weighted):
    """1 for an input classified right, ``1 / (1 + loss)`` for another; weighted and summed.

    Equations 3 and 4 of Sohn, Kang and Yoo (TOSEM 2023): ``f = s(correct) + alpha s(wrong)``. The
    loss is the cross entropy. An input is right if no other class has a larger output than its
    label: at exact ties the label wins, whatever the order of classes.
    """

    @property
    def certain(self) -> tuple[float, ...] | None:
        """An input that is right contributes 1."""
        return (1.0,)

    @classmethod
    def of(cls, correct: Tensor, targets: Tensor, alpha: float = 10.0) -> Arachne:
        """Weigh the inputs to fix by ``alpha``, other correct ones by 1, all else by 0.

        Args:
            correct: which inputs the unpatched network classifies right, ``(N,)`` bool.
            targets: which inputs are to be fixed, ``(N,)`` bool.
            alpha: at least 0.

        Raises:
            SettingError: if alpha is negative.
        """
        if alpha < 0:
            message = f"alpha is {alpha}; it is at least 0"
            raise SettingError(message)
        weight = torch.where(targets, alpha, correct.to(torch.float32))
        return cls(weight.to(torch.float32))

    def terms(self, outputs: Outputs) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return which rows are right, and their terms."""
        label = outputs.of_label()
        right = label >= outputs.largest()
        if right.device.type != "cpu" or outputs.static:  # a compaction would make the host wait
            partial = _of_wrong(outputs.losses(label))
            return right, (torch.where(right, torch.ones_like(partial), partial),)
        terms = right.to(label.dtype)
        wrong = (~right).view(-1).nonzero()[:, 0]
        if len(wrong):
            terms.view(-1)[wrong] = _of_wrong(outputs.losses_at(label, wrong))
        return right, (terms,)


def _of_wrong(loss: Tensor) -> Tensor:
    """Return ``1 / (1 + loss)``, 0 where the loss is NaN."""
    return torch.reciprocal(loss.add(1)).nan_to_num_(nan=0.0)
