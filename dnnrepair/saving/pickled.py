"""Torch files: whatever they hold besides the network is written again as it was read."""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING

import torch
from torch import nn

from dnnrepair.errors import ModelError
from dnnrepair.files import write_bytes_whole
from dnnrepair.loading.loaded import tensors_of
from dnnrepair.loading.pickles import read_pickle
from dnnrepair.loading.quiet import first_line, quiet
from dnnrepair.loading.sniff import Kind
from dnnrepair.loading.states import find_module, find_state
from dnnrepair.saving.held import Held

if TYPE_CHECKING:
    from pathlib import Path


def hold_pickled(path: Path, kind: Kind, *, trust_pickle: bool = False) -> Held:
    """Return a state dict, a checkpoint around one, or (only if trusted) a pickled network.

    Raises:
        UntrustedError: unpickling it would run code.
        ModelError: it is damaged or holds no network.
    """
    found, trusted = read_pickle(path, kind, trust_pickle=trust_pickle)
    module = find_module(found) if trusted else None
    tensors = tensors_of(module) if module is not None else find_state(found, str(path))[0]
    return Held(
        name=str(path),
        form="state dict" if module is None else "pickled module",
        tensors=tensors,
        write=lambda target: write_bytes_whole(target, _packed(found, kind, path)),
    )


def hold_module(module: nn.Module, name: str) -> Held:
    """Return a network that came out of no file; its state dict is what is written."""
    state = module.state_dict()
    return Held(
        name=name,
        form="state dict",
        tensors=tensors_of(module),
        write=lambda target: write_bytes_whole(target, _packed(state, Kind.STATE, name)),
    )


def _packed(found: object, kind: Kind, name: Path | str) -> bytes:
    """Return what was read in the format in which it came."""
    if kind is Kind.PICKLE:
        return pickle.dumps(found)
    buffer = io.BytesIO()
    try:
        with quiet():
            torch.save(found, buffer, _use_new_zipfile_serialization=kind is Kind.STATE)
    except Exception as error:
        message = (
            f"{name}: torch {torch.__version__} cannot write again what is in it "
            f"({first_line(error)}); save its state dict and patch that"
        )
        raise ModelError(message) from error
    return buffer.getvalue()
