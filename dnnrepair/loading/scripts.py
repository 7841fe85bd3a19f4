"""TorchScript archives: no Python runs in one, but its own language can reach files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import ModelError, UntrustedError
from dnnrepair.loading.archive import Archive
from dnnrepair.loading.loaded import Loaded
from dnnrepair.loading.quiet import first_line, quiet
from dnnrepair.loading.states import check_tensors
from dnnrepair.loading.storages import tensor_mismatch

if TYPE_CHECKING:
    from pathlib import Path

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
    state = {key: value.detach() for key, value in {**parameters, **buffers}.items()}
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
    for pickled, folder in (("data.pkl", "data/"), ("constants.pkl", "constants/")):
        stored = {
            entry.removeprefix(root + folder): archive.size(entry)
            for entry in archive.names
            if entry.startswith(root + folder)
        }
        problem = tensor_mismatch(archive.read(root + pickled), stored)
        if problem:
            message = f"{name}: refused, {pickled} contains {problem}; save the network again"
            raise UntrustedError(message)
