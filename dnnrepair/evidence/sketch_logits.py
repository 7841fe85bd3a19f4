"""Predictions of some samples, kept one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class SketchLogits:
    """What the network returned for the sketch, with labels.

    Attributes:
        scores: log-probabilities up to a constant per row, ``(rows, K)``, at least 2 classes.
        labels: ``(rows,)``.
    """

    scores: NDArray[np.float64]
    labels: NDArray[np.int64]
