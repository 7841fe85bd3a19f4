"""When training has gone on for long enough."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dnnrepair.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyStopping:
    """Ends training when the watched value, of which less is better, no longer falls.

    None leaves a rule out. A patience of 0 would stop at the first bad epoch of a noisy curve.

    Attributes:
        patience: epochs without an improvement of more than ``min_delta``, at least 1.
        min_delta: what counts as an improvement, at least 0.
        tolerance: an absolute change from one epoch to the next below this ends training.
        window: a value above that of so many epochs ago ends training, at least 1.
    """

    patience: int | None = 5
    min_delta: float = 0.0
    tolerance: float | None = None
    window: int | None = None

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            SettingError: a value lies outside of its range.
        """
        for name in ("patience", "window"):
            value = getattr(self, name)
            if value is not None and value < 1:
                message = f"{name} is {value}; give at least 1 epoch, or None to leave the rule out"
                raise SettingError(message)
        for name in ("min_delta", "tolerance"):
            value = getattr(self, name)
            if value is not None and not (value >= 0 and math.isfinite(value)):
                message = f"{name} is {value}; give a finite number of at least 0"
                raise SettingError(message)

    def reason(self, values: Sequence[float]) -> str:
        """Return why training ends here, "" if it goes on.

        Args:
            values: the watched value before training and after each epoch so far, all finite.
        """
        if self.patience is not None and self._waited(values) >= self.patience:
            return f"no improvement for {self.patience} epochs"
        if self.tolerance is not None and len(values) > 1:
            change = abs(values[-1] - values[-2])
            if change < self.tolerance:
                return f"the last epoch changed it by {change:.3g}, less than {self.tolerance:g}"
        if self.window is not None and len(values) > self.window:
            before = values[-1 - self.window]
            if values[-1] > before:
                return f"it rose from {before:.4g} to {values[-1]:.4g} in {self.window} epochs"
        return ""

    def _waited(self, values: Sequence[float]) -> int:
        """Return the epochs since the last improvement of more than ``min_delta``."""
        best, place = math.inf, 0
        for i, value in enumerate(values):
            if value < best - self.min_delta:
                best, place = value, i
        return len(values) - 1 - place
