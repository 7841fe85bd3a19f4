"""A patch put on a network's tensors, or taken off again: exact inverses, or an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.bits import bits, digest
from dnnrepair.errors import PatchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

    from dnnrepair.patch import Edit, Patch


def applied(state: Mapping[str, Tensor], patch: Patch) -> dict[str, Tensor]:
    """Return a network's tensors after a patch; those that it does not change are the same objects.

    Args:
        state: all parameters and buffers of the network that the patch was made for.
        patch: what to change.

    Raises:
        PatchError: if it was made for another network, or is applied already.
    """
    found = digest(state)
    if found == patch.result != patch.base:
        message = (
            f"the patch is already applied: the network's digest is {found}, which is what it "
            "results in; nothing is left to do, or take it back with `dnnrepair revert`"
        )
        raise PatchError(message)
    if found != patch.base:
        message = (
            f"the patch was made for a network with digest {patch.base}, this one has {found}"
            f"{_but(mismatch(state, patch.edits))}; name the network that it was made for (with "
            "the same --arch), or make a patch for this one"
        )
        raise PatchError(message)
    return _changed(state, patch)


def reverted(state: Mapping[str, Tensor], patch: Patch) -> dict[str, Tensor]:
    """Return a patched network's tensors as they were before the patch.

    Raises:
        PatchError: if the patch is not what was last applied to this network.
    """
    found = digest(state)
    if found == patch.base != patch.result:
        message = (
            f"the patch is not applied: the network's digest is {found}, for which it was made; "
            "nothing is left to take back"
        )
        raise PatchError(message)
    if found != patch.result:
        message = (
            f"the patch results in a network with digest {patch.result}, this one has {found}"
            f"{_but(mismatch(state, patch.inverse.edits))}; name the network that it was applied "
            "to, and all patches since, in the order in which they were applied"
        )
        raise PatchError(message)
    return _changed(state, patch.inverse)


def mismatch(state: Mapping[str, Tensor], edits: Iterable[Edit]) -> str:
    """Return where a network first differs from what edits expect to find, "" if nowhere."""
    return next(filter(None, (_mismatch(state, edit) for edit in edits)), "")


def _changed(state: Mapping[str, Tensor], patch: Patch) -> dict[str, Tensor]:
    different = mismatch(state, patch.edits)
    if different:
        message = (
            f"the patch contradicts itself: {different}, although the network is the one it was "
            "made for; get the file again from its source"
        )
        raise PatchError(message)
    after = {**state, **{edit.tensor: _edited(state[edit.tensor], edit) for edit in patch.edits}}
    found = digest(after)
    if found != patch.result:
        message = (
            f"the patch contradicts itself: it leads to digest {found}, not {patch.result} as it "
            "says; get the file again from its source"
        )
        raise PatchError(message)
    return after


def _edited(tensor: Tensor, edit: Edit) -> Tensor:
    fresh = tensor.detach().contiguous().clone()
    if fresh.ndim == 0:
        return edit.after.reshape(())
    fresh[edit.index.unbind(1)] = edit.after
    return fresh


def _mismatch(state: Mapping[str, Tensor], edit: Edit) -> str:
    tensor = state.get(edit.tensor)
    if tensor is None:
        return f"the network has no tensor {edit.tensor!r}"
    if tensor.dtype != edit.before.dtype:
        return f"{edit.tensor!r} holds {tensor.dtype}, not {edit.before.dtype}"
    sides = edit.index.new_tensor(tensor.shape)
    if edit.index.shape[1] != tensor.ndim or bool((edit.index >= sides).any()):
        return f"{edit.tensor!r} is {tuple(tensor.shape)}, without the place {edit.place(-1)}"
    found = tensor.detach().cpu()[edit.index.unbind(1)].reshape(-1)
    wrong = (bits(found) != bits(edit.before)).nonzero()
    if not len(wrong):
        return ""
    first = int(wrong[0])
    return (
        f"{edit.place(first)} is {found[first].item()!r}, not {edit.before[first].item()!r} "
        "as expected"
    )


def _but(different: str) -> str:
    return f" ({different})" if different else ""
