"""TorchScript archives: no Python runs in one, but its own language can reach files."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import ModelError, UntrustedError
from dnnrepair.loading.archive import Archive
from dnnrepair.loading.loaded import Loaded, tensors_of
from dnnrepair.loading.quiet import first_line, quiet
from dnnrepair.loading.states import check_tensors
from dnnrepair.loading.storages import find_tensors, tensor_mismatch

if TYPE_CHECKING:
    from pathlib import Path

    from dnnrepair.loading.storages import Stored

VALUES = "data/"  # where the values of parameters and buffers are
# aten::save, aten::from_file, debugprims::load_tensor, remote calls; names can be aliased, so the
# bare word is refused wherever it stands.
_REACHING = re.compile(rb"\b(save|from_file|debugprims|rpc_sync|rpc_async|rpc_remote)\b")
_CLASSES = re.compile(rb"torch\s*\.\s*classes\s*\.\s*(?!quantized\b)\w+")


def load_script(path: Path) -> Loaded:
    """Return the TorchScript module in a file, in evaluation mode.

    Raises:
        UntrustedError: its code reaches files or the network.
        ModelError: it is damaged, or torch does not read it.
    """
    with Archive(path) as archive:
        _examine(archive, str(path))
        # source positions of the code; damaged ones abort the process inside torch's error report
        debug = [entry for entry in archive.names if entry.endswith(".debug_pkl")]
        buffer = archive.rebuilt(dict.fromkeys(debug))
    try:
        with quiet():
            script = torch.jit.load(buffer, map_location="cpu")
    except Exception as error:
        message = (
            f"{path}: torch {torch.__version__} cannot read this TorchScript file "
            f"({first_line(error)}); save it again"
        )
        raise ModelError(message) from error
    notes = ("the network was saved in training mode; examined in evaluation mode",)
    trained = bool(getattr(script, "training", False))  # a frozen module has no mode
    if trained:
        script.eval()
    parameters, buffers = dict(script.named_parameters()), dict(script.named_buffers())
    state = tensors_of(script)
    if state:
        check_tensors(state, str(path))
    return Loaded(
        name=str(path),
        form="TorchScript",
        state=state,
        script=script,
        buffers=frozenset(buffers),
        trainable=frozenset(key for key, value in parameters.items() if value.requires_grad),
        notes=notes if trained else (),
    )


def locate(path: Path) -> dict[str, Stored]:
    """Return which entries of a file that was loaded hold its tensors' values, by name."""
    with Archive(path) as archive:
        found = find_tensors(archive.read(f"{archive.root}data.pkl"), _sizes(archive, VALUES))
        return {
            name: replace(stored, entry=f"{archive.root}{VALUES}{stored.entry}")
            for name, stored in found.items()
        }


def _sizes(archive: Archive, folder: str) -> dict[str, int]:
    """Return the bytes of each entry in a folder, by its name in it."""
    whole = f"{archive.root}{folder}"
    return {n.removeprefix(whole): archive.size(n) for n in archive.names if n.startswith(whole)}


def _examine(archive: Archive, name: str) -> None:
    root = archive.root
    for entry in archive.names:
        inner = entry.removeprefix(root)
        content = archive.read(entry) if inner.endswith((".py", ".pkl")) else b""
        found = _CLASSES.search(content) or (
            _REACHING.search(content) if inner.endswith(".py") else None
        )
        if found:
            message = (
                f"{name}: refused, its code uses {found[0].decode()!r} ({inner!r}), which can "
                "reach files outside of it; give the state dict with --arch instead"
            )
            raise UntrustedError(message)
    for pickled, folder in (("data.pkl", VALUES), ("constants.pkl", "constants/")):
        problem = tensor_mismatch(archive.read(root + pickled), _sizes(archive, folder))
        if problem:
            message = f"{name}: refused, {pickled} contains {problem}; save the network again"
            raise UntrustedError(message)
