"""Patches put on a network's file, or taken off it: the file comes out in the form it came in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dnnrepair.bits import bits, digest
from dnnrepair.errors import PatchError
from dnnrepair.loading import load
from dnnrepair.patches.applying import applied, reverted
from dnnrepair.patches.file import read_patch
from dnnrepair.saving import hold

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from dnnrepair.patch import Patch
    from dnnrepair.saving import Held

    State = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The network as the user names it.

    Attributes:
        model: a file, a Hugging Face directory, ``timm:NAME`` or ``models:NAME``.
        arch: its architecture, if the patch was made with one that the file does not show.
        trust_pickle: unpickle freely a file that is more than tensors; this runs code from it.
        seed: of a reference network.
    """

    model: str
    arch: str | None = None
    trust_pickle: bool = False
    seed: int = 0

    @property
    def is_built(self) -> bool:
        """Whether it is a network that no file of the user holds."""
        return self.model.startswith(("timm:", "models:"))

    def held(self) -> Held:
        """Return the file, ready to be changed."""
        return hold(self.model, trust_pickle=self.trust_pickle, seed=self.seed)

    def state(self) -> State:
        """Return the network's tensors as every other command sees them."""
        return load(self.model, arch=self.arch, trust_pickle=self.trust_pickle).state


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """What became of a file.

    Attributes:
        held: the changed file, not written yet.
        before: digest of the network as it was.
        after: digest of the network as it is.
        numbers: how many numbers of the network differ between the two.
        tensors: in how many tensors.
    """

    held: Held
    before: str
    after: str
    numbers: int
    tensors: int


def rewritten(source: Source, paths: Sequence[Path], *, back: bool = False) -> Rewritten:
    """Return a network's file with patches applied.

    Args:
        source: the network.
        paths: of the patches, in the order in which they are, or were, applied.
        back: take them off, the last first.

    Raises:
        PatchError: a patch is damaged, or none for the network as the one before it leaves it.
        ModelError: the network cannot be loaded, or its file cannot hold the numbers.
    """
    patches = [(path, read_patch(path)) for path in paths]
    ordered = patches[::-1] if back else patches
    held = source.held()
    state, view = _network(source, held, ordered[0][1])
    before, after = state, state
    for path, patch in ordered:
        after = _step(after, patch, path, back=back)
    changed = [name for name in before if after[name] is not before[name]]
    numbers = [int(_differing(before[name], after[name])) for name in changed]
    was, becomes = digest(before), digest(after)
    for name in changed:
        held.change(name, before[name], after[name])
    if view is not None and digest(view) != becomes:
        message = (
            f"{held.name}: tensors that the patch tells apart are one and the same in this file; "
            "make a patch for the network as it is stored here"
        )
        raise PatchError(message)
    return Rewritten(
        held=held,
        before=was,
        after=becomes,
        numbers=sum(numbers),
        tensors=sum(map(bool, numbers)),
    )


def _network(source: Source, held: Held, patch: Patch) -> tuple[State, State | None]:
    """Return the network as the patch's digests name it, and the view of the file that it is.

    The file itself is looked at first; the network that is built from it may know one tensor by
    two names, or have tensors of its own.
    """
    for view in held.views():
        if digest(view) in (patch.base, patch.result):
            return view, view
    if source.is_built:
        return held.tensors, held.tensors
    return source.state(), None


def _step(state: State, patch: Patch, path: Path, *, back: bool) -> State:
    try:
        return reverted(state, patch) if back else applied(state, patch)
    except PatchError as error:
        message = f"{path}: {error}"
        raise PatchError(message) from error


def _differing(before: Tensor, after: Tensor) -> Tensor:
    return (bits(before) != bits(after)).sum()
