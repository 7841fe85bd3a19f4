"""The values of small tensors: biases, normalization parameters, running statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """A parameter or buffer of at most one dimension.

    Attributes:
        values: ``(units,)``, a scalar as ``(1,)``.
    """

    values: NDArray[np.float64]
