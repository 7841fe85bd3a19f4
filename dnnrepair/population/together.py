"""Several evaluators as one: searches over different layers in the same run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dnnrepair.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnnrepair.population.evaluator import Evaluator


@dataclass(frozen=True)
class Together:
    """Evaluates search s with evaluator s.

    A search of fewer weights than the longest leaves its last columns unused.

    Attributes:
        evaluators: one for each of S searches.
    """

    evaluators: Sequence[Evaluator]

    @property
    def abandons(self) -> bool:
        """Whether a threshold saves work for some search."""
        return any(getattr(evaluator, "abandons", False) for evaluator in self.evaluators)

    def __call__(self, values: Tensor, threshold: Tensor | None = None) -> Tensor:
        """Return the fitness ``(S, P)`` of ``(S, P, k)`` values, k being the largest.

        Raises:
            SettingError: if S is not the number of evaluators, or k is too small for one.
        """
        if values.dim() != 3 or len(values) != len(self.evaluators):  # noqa: PLR2004 - (S, P, k)
            message = f"values are {tuple(values.shape)}, of {len(self.evaluators)} searches"
            raise SettingError(message)
        return torch.stack(
            [
                evaluator(
                    own[:, : len(evaluator.places)], None if threshold is None else threshold[s]
                )
                for s, (evaluator, own) in enumerate(zip(self.evaluators, values, strict=True))
            ]
        )
