"""Files of which only changed numbers' bytes change: safetensors, TorchScript and ``.pt2``."""

from __future__ import annotations

import json
import mmap
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch

from dnnrepair.bits import identical
from dnnrepair.errors import ModelError
from dnnrepair.files import write_bytes_whole
from dnnrepair.loading.archive import Archive
from dnnrepair.loading.safe import read_tensors
from dnnrepair.loading.states import find_state
from dnnrepair.loading.storages import Stored
from dnnrepair.saving.held import Held

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from dnnrepair.loading import Loaded


def hold_safetensors(path: Path) -> Held:
    """Return a safetensors file; its header stays as it is, metadata and all.

    Raises:
        ModelError: it is damaged.
    """
    read, _ = read_tensors(path)
    with path.open("rb") as file:
        content: Any = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    live = {key: _view(content, _flat(header, key, start), value) for key, value in read.items()}
    return Held(
        name=str(path),
        form="safetensors",
        tensors=find_state(live, str(path))[0],
        write=lambda target: write_bytes_whole(target, content[:]),
    )


def hold_archive(loaded: Loaded, path: Path, locate: Callable[[Path], dict[str, Stored]]) -> Held:
    """Return a zip archive that holds tensors' values as they are in memory.

    Args:
        loaded: what :func:`dnnrepair.loading.load` made of it.
        path: of the archive.
        locate: tells which entries hold which tensors.

    Raises:
        ModelError: the values are not where they should be.
    """
    places = {name: place for name, place in locate(path).items() if name in loaded.state}
    with Archive(path) as archive:
        entries = {place.entry: bytearray(archive.read(place.entry)) for place in places.values()}
    live: dict[str, Tensor] = {}
    for name, value in loaded.state.items():
        with suppress(KeyError, ValueError, RuntimeError):
            live[name] = _view(entries[places[name].entry], places[name], value)
        if name not in live or not identical(live[name], value):
            message = (
                f"{path}: {name!r} is not where its table of contents says; save the file again"
            )
            raise ModelError(message)

    def write(target: Path) -> None:
        with Archive(path) as archive:
            replaced = {entry: bytes(content) for entry, content in entries.items()}
            write_bytes_whole(target, archive.rebuilt(replaced).getvalue())

    return Held(name=str(path), form=loaded.form, tensors=live, write=write)


def _flat(header: dict[str, Any], key: str, start: int) -> Stored:
    """Return where a safetensors file holds a tensor; its offset is in bytes of the file."""
    first, _ = header[key]["data_offsets"]
    return Stored(entry="", shape=(), stride=(), offset=start + first)


def _view(content: Any, place: Stored, like: Tensor) -> Tensor:  # noqa: ANN401 - a buffer
    """Return the tensor that lies in writable bytes."""
    if like.numel() == 0:
        return like
    if not place.shape and not place.entry:  # contiguous in a file of its own
        flat = torch.frombuffer(content, dtype=like.dtype, count=like.numel(), offset=place.offset)
        return flat.reshape(like.shape)
    whole = torch.frombuffer(content, dtype=like.dtype, count=len(content) // like.itemsize)
    return whole.as_strided(place.shape, place.stride, place.offset)
