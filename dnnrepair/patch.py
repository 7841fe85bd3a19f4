"""A repair as data: which numbers of a network change, from what to what."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Edit:
    """New values for some of one tensor's numbers.

    Attributes:
        tensor: name of the parameter, as in the state dict.
        index: which numbers, int64 ``(k, dimensions)``.
        before: their values in the base, ``(k,)`` in the tensor's own type.
        after: their values in the patched network, likewise.
    """

    tensor: str
    index: Tensor
    before: Tensor
    after: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A change to a network that can be applied, shown, and taken back exactly.

    Attributes:
        base: digest of the network that it changes (see :func:`dnnrepair.subject.digest`).
        result: digest of what that becomes.
        edits: one for each tensor that changes.
        method: that found it.
        settings: of the method, as JSON can hold them.
        seed: of whatever was random.
        verdict: what it did to the held-out part, as JSON can hold it; empty if never judged.
    """

    base: str
    result: str
    edits: tuple[Edit, ...]
    method: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    verdict: Mapping[str, Any] = field(default_factory=dict)
