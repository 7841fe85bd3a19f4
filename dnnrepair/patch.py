"""A repair as data: which numbers of a network change, from what to what."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import torch

from dnnrepair.bits import bits, digest, identical
from dnnrepair.errors import PatchError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
_WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
PATCHABLE = frozenset((*_FLOATS, *_WHOLE))  # types of tensors in which numbers can change


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """New values for some of one tensor's numbers.

    Attributes:
        tensor: name of the parameter, as in the state dict.
        index: which numbers, int64 ``(k, dimensions)``, none twice, in the order in which they
            stand in the tensor.
        before: their values in the base, ``(k,)`` in the tensor's own type.
        after: their values in the patched network, likewise.
    """

    tensor: str
    index: Tensor
    before: Tensor
    after: Tensor

    @classmethod
    def between(cls, tensor: str, before: Tensor, after: Tensor) -> Self:
        """Return what turns one tensor into the other: the numbers whose bits differ.

        Raises:
            PatchError: if shape or type differ, numbers become NaN, or the type is none that can
                be patched.
        """
        before, after = before.detach().cpu(), after.detach().cpu()
        _check_alike(tensor, before, after)
        changed = bits(before) != bits(after)
        edit = cls(tensor, changed.nonzero(), before[changed], after[changed])
        undefined = edit.after.isnan().nonzero()
        if len(undefined):
            message = f"{edit.place(int(undefined[0]))} would become NaN; try other settings"
            raise PatchError(message)
        return edit

    @property
    def inverse(self) -> Edit:
        """What takes this edit back."""
        return Edit(self.tensor, self.index, self.after, self.before)

    def place(self, number: int) -> str:
        """Return in words where one of the k numbers is, such as ``fc.weight[3, 7]``."""
        return f"{self.tensor}{self.index[number].tolist()}"

    def __len__(self) -> int:
        return len(self.index)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Edit):
            return NotImplemented
        pairs = ((self.index, other.index), (self.before, other.before), (self.after, other.after))
        return self.tensor == other.tensor and all(identical(*pair) for pair in pairs)

    def __hash__(self) -> int:
        return hash((self.tensor, len(self)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A change to a network that can be applied, shown, and taken back exactly.

    Attributes:
        base: digest of the network that it changes (see :func:`dnnrepair.bits.digest`).
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

    @classmethod
    def of(
        cls,
        base: Mapping[str, Tensor],
        changed: Mapping[str, Tensor],
        *,
        method: str = "",
        settings: Mapping[str, Any] | None = None,
        seed: int = 0,
        verdict: Mapping[str, Any] | None = None,
    ) -> Self:
        """Return the difference between a network and a changed one.

        Args:
            base: all tensors of the network, as they were loaded; their digest names it.
            changed: new values of those that change, whole and in their own type.
            method: that found them.
            settings: of the method.
            seed: of whatever was random.
            verdict: what the change did to the held-out part.

        Raises:
            PatchError: if they are no tensors of the network, or NaN.
        """
        unknown = sorted(changed.keys() - base.keys())
        if unknown:
            message = f"the network has no tensor {unknown[0]!r}; it cannot be patched"
            raise PatchError(message)
        edits = (Edit.between(name, base[name], changed[name]) for name in sorted(changed))
        return cls(
            base=digest(base),
            result=digest({**base, **changed}),
            edits=tuple(edit for edit in edits if len(edit)),
            method=method,
            settings=dict(settings or {}),
            seed=seed,
            verdict=dict(verdict or {}),
        )

    @property
    def inverse(self) -> Patch:
        """The patch that takes this one back."""
        edits = tuple(edit.inverse for edit in self.edits)
        return replace(self, base=self.result, result=self.base, edits=edits)

    @property
    def count(self) -> int:
        """How many numbers change."""
        return sum(map(len, self.edits))


def _check_alike(name: str, before: Tensor, after: Tensor) -> None:
    if before.shape != after.shape:
        message = (
            f"{name!r} is {tuple(before.shape)}, not {tuple(after.shape)}; "
            "a patch changes numbers, not shapes"
        )
        raise PatchError(message)
    if before.dtype != after.dtype or before.dtype not in PATCHABLE:
        message = (
            f"{name!r} holds {before.dtype} and would hold {after.dtype}; "
            "a patch keeps the type, one of plain numbers"
        )
        raise PatchError(message)
