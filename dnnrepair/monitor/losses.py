"""Training losses, summed up from look to look, and the labels that came with them."""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from dnnrepair.evidence.training import LossBlock

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

KEPT = 1000  # blocks; older ones are forgotten
FIRST = 10  # losses whose mean is the start
ENOUGH = 8  # losses that have a correlation


class Losses:
    """The losses of a run; values on a device are fetched once per look.

    Attributes:
        blocks: of finished stretches, oldest first.
        first: the first finite losses.
    """

    def __init__(self) -> None:
        """Start without losses."""
        self.blocks: deque[LossBlock] = deque(maxlen=KEPT)
        self.first: list[float] = []
        self._waiting: list[tuple[int, Tensor | float]] = []

    def add(self, step: int, loss: Tensor | float) -> None:
        """Note a loss, a scalar or one value per sample, before optimizer step ``step`` + 1."""
        if isinstance(loss, Tensor):
            value = loss.detach()
            value = value.mean() if value.dim() else value
            loss = float(value) if value.device.type == "cpu" else value
        self._waiting.append((step, loss))

    def close(self, step: int) -> None:
        """End a block after optimizer step ``step``; without losses there is none."""
        if not self._waiting:
            return
        values = np.array(_fetched([loss for _, loss in self._waiting]))
        finite = np.isfinite(values)
        bad = [s for (s, _), good in zip(self._waiting, finite, strict=True) if not good]
        self.first.extend(values[finite][: FIRST - len(self.first)].tolist())
        self.blocks.append(block_of(values[finite], step, len(bad), bad[0] if bad else None))
        self._waiting.clear()

    def forget(self) -> None:
        """Drop the losses since the last block."""
        self._waiting.clear()

    @property
    def is_broken(self) -> bool:
        """Whether the last block held losses that are not finite."""
        return bool(self.blocks) and self.blocks[-1].nonfinite > 0

    @property
    def start(self) -> float:
        """Mean of the first finite losses, NaN without any."""
        return sum(self.first) / len(self.first) if self.first else math.nan


def block_of(values: Floats, step: int, bad: int = 0, first_bad: int | None = None) -> LossBlock:
    """Sum up finite losses ``(n,)`` in the order in which they came."""
    neighbors = np.diff(values)
    return LossBlock(
        step=step,
        count=len(values),
        mean=float(values.mean()) if len(values) else math.nan,
        deviation=float(np.sqrt((neighbors**2).mean() / 2)) if len(neighbors) else math.nan,
        correlation=_correlation(values),
        nonfinite=bad,
        first_nonfinite=first_bad,
    )


def _correlation(values: Floats) -> float:
    if len(values) < ENOUGH:
        return math.nan
    places = np.arange(len(values))
    rest = values - np.polyval(np.polyfit(places, values, 1), places)
    spread = float((rest**2).sum())
    tiny = np.finfo(float).eps * float((values**2).sum())
    return float((rest[1:] * rest[:-1]).sum()) / spread if spread > tiny else math.nan


def _fetched(losses: list[Tensor | float]) -> list[float]:
    tensors = [loss.double() for loss in losses if isinstance(loss, Tensor)]
    fetched = iter(torch.stack(tensors).tolist() if tensors else ())
    return [next(fetched) if isinstance(loss, Tensor) else loss for loss in losses]


class Labels:
    """How often each class was trained on; values are fetched once per look."""

    def __init__(self) -> None:
        """Start without labels."""
        self.counts: Counter[int] = Counter()
        self._waiting: list[Tensor] = []

    def add(self, targets: Tensor) -> None:
        """Note class labels, integers of any shape; negative ones do not count."""
        if not targets.is_floating_point() and not targets.is_complex():
            self._waiting.append(targets.detach().reshape(-1))

    def close(self) -> None:
        """Count what has been noted."""
        if self._waiting:
            labels, counts = torch.cat(self._waiting).unique(return_counts=True)
            for label, count in zip(labels.tolist(), counts.tolist(), strict=True):
                if label >= 0:
                    self.counts[int(label)] += count
            self._waiting.clear()
