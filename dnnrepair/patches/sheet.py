"""A patch as a reviewer reads it: plain data, the largest changes first where there are many."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dnnrepair.patch import Edit, Patch

MANY = 20  # numbers of one tensor above which it is summarized
LARGEST = 10  # of them are listed then


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """One number that changes.

    Attributes:
        index: where it stands in its tensor.
        before: its value in the base.
        after: its value in the patched network.
    """

    index: tuple[int, ...]
    before: float
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A tensor that changes.

    Attributes:
        tensor: its name.
        count: how many of its numbers change.
        norm: Euclidean norm of the change.
        numbers: all that change, in order; of more than :data:`MANY` the largest changes.
    """

    tensor: str
    count: int
    norm: float
    numbers: tuple[Number, ...]

    @property
    def layer(self) -> str:
        """The layer that it belongs to, "" for the network itself."""
        return self.tensor.rpartition(".")[0]

    @property
    def parameter(self) -> str:
        """Its name in the layer."""
        return self.tensor.rpartition(".")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """What a patch does.

    Attributes:
        name: of its file.
        base: digest of the network that it is for.
        result: digest of what that becomes.
        count: how many numbers change.
        changed: the tensors that do.
        method: that found it.
        settings: of the method.
        seed: of whatever was random.
        verdict: what it did to the held-out part, empty if never judged.
    """

    name: str
    base: str
    result: str
    count: int
    changed: tuple[Changed, ...]
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    verdict: Mapping[str, Any] = field(default_factory=dict)


def sheet_of(patch: Patch, name: str, *, many: int = MANY) -> Sheet:
    """Return what a patch does.

    Args:
        patch: the patch.
        name: of its file.
        many: numbers of one tensor above which only the largest changes are listed.
    """
    return Sheet(
        name=name,
        base=patch.base,
        result=patch.result,
        count=patch.count,
        changed=tuple(_changed(edit, many) for edit in patch.edits),
        method=patch.method,
        settings=patch.settings,
        seed=patch.seed,
        verdict=patch.verdict,
    )


def _changed(edit: Edit, many: int) -> Changed:
    before, after = edit.before.double(), edit.after.double()
    change = (after - before).nan_to_num(nan=float("inf"))
    largest = change.abs().argsort(descending=True, stable=True)[:LARGEST].tolist()
    shown = largest if len(edit) > many else range(len(edit))
    numbers = tuple(
        Number(index=tuple(edit.index[i].tolist()), before=float(before[i]), after=float(after[i]))
        for i in shown
    )
    return Changed(tensor=edit.tensor, count=len(edit), norm=float(change.norm()), numbers=numbers)
