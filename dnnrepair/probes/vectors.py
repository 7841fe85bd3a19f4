"""Read small tensors: biases, normalization parameters, running statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from dnnrepair.evidence.vectors import Vector
from dnnrepair.probe import probe

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.observation import TensorInfo


@probe("vectors")
class VectorProbe:
    """The values of every tensor of at most one dimension."""

    yields: ClassVar[type] = Vector

    def measure_tensor(self, info: TensorInfo, value: Tensor) -> Vector | None:
        """Return the values, None for matrices and larger."""
        if len(info.shape) > 1 or value.is_complex():
            return None
        return Vector(values=value.detach().double().reshape(-1).cpu().numpy())
