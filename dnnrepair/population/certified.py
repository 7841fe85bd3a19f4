"""Which inputs need no evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from dnnrepair.data import Samples
    from dnnrepair.population.scores import Judge
    from dnnrepair.population.settings import EvaluatorSettings
    from dnnrepair.population.suffix import Suffix


def certified(
    suffix: Suffix,
    judge: Judge,
    samples: Samples,
    settings: EvaluatorSettings,
    size: int,
) -> tuple[Tensor | None, list[str]]:
    """Return which inputs to evaluate, ``(N,)`` bool (None for all), and notes."""
    return None, []
