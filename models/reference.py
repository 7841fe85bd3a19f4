"""A reference network together with its data."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dnnrepair.models.recipe import Recipe
    from dnnrepair.models.views import Split


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

    def split(self) -> Split | None:
        """Return both parts of its data; None if it is fed others than its recipe has.

        A planted fault of the data is in the test part alone.
        """
        data = self.recipe.data()
        targets = self.targets if self.targets is not None else data.test_targets
        pairs = ((self.inputs[0], data.test_inputs), (targets, data.test_targets))
        return data if all(torch.equal(own, theirs) for own, theirs in pairs) else None
