"""A change of weights that a search proposes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """One change.

    Attributes:
        name: what distinguishes it among those of its search.
        method: "descent" or "evolution".
        tensors: new values of the parameters that change, by name, whole and in their own type.
        settings: with which it was found, as JSON can hold them.
    """

    name: str
    method: str
    tensors: Mapping[str, Tensor]
    settings: Mapping[str, float | int | str | bool] = field(default_factory=dict)
