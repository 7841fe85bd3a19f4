"""Drawing all weights of a network anew, each to match the activation that follows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dnnrepair.observation import Role
from dnnrepair.repairing.states import with_state
from dnnrepair.swapping.operations.initialize import Initialize
from dnnrepair.swapping.where import Where

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.observation import TensorInfo
    from dnnrepair.subject import Subject

DRAWN = "all weights drawn anew, each for the activation behind it"
_CONSTANTS = {Role.BIAS: 0.0, Role.SCALE: 1.0, Role.SHIFT: 0.0}


def redrawn(subject: Subject, generator: torch.Generator) -> Subject:
    """Return the network with fresh weights, biases zero and normalizations as they begin.

    What has no role (positions, slopes of activations) stays, unless it is not finite.

    Raises:
        SettingError: there is nothing to draw, or it must not be changed.
    """
    begun = {
        name: _begun(value, subject.infos[name])
        for name, value in subject.tensors.items()
        if name in subject.infos and value.is_floating_point()
    }
    return Initialize().apply(with_state(subject, begun), Where(), generator).subject


def _begun(value: Tensor, info: TensorInfo) -> Tensor:
    """Return what a tensor that is not drawn begins with."""
    if info.role is Role.STATISTIC:
        return torch.full_like(value, 1.0 if info.name.endswith("var") else 0.0)
    if info.role in _CONSTANTS and info.trainable and not info.buffer:
        return torch.full_like(value, _CONSTANTS[info.role])
    return torch.where(value.isfinite(), value, torch.zeros_like(value))
