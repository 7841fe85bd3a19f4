"""A reference network together with its data."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dnnrepair.models.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A network with its data.

    Attributes:
        name: the spec it was built from.
        module: the network, in evaluation mode.
        inputs: of the test part, ``(N, ...)`` each.
        targets: of the test part; for a generator as many real samples.
        task: ``classify``, ``regress`` or ``generate``.
        loss: that training minimized; "" for a generator's.
        trained: or freshly initialized.
        accuracy: on the test part; R^2 for regression, None for a generator or untrained.
        recipe: how it was made.
        seed: of initial weights, training and planting.
    """

    name: str
    module: nn.Module
    inputs: tuple[Tensor, ...]
    targets: Tensor | None
    task: str
    loss: str
    trained: bool
    accuracy: float | None
    recipe: Recipe
    seed: int

    def copy(self) -> Reference:
        """Return a reference whose module may be changed without changing this one's."""
        return replace(self, module=deepcopy(self.module))
