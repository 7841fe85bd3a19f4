"""Safetensors files: a JSON header and bytes, nothing that can run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from dnnrepair.errors import ModelError, UntrustedError
from dnnrepair.loading.quiet import first_line
from dnnrepair.loading.states import find_state

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

_MAX_HEADER = 100 << 20  # bytes; the library's own bound


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return the network's tensors in a safetensors file, memory-mapped, and notes.

    Raises:
        ModelError: it is damaged.
        UntrustedError: its header is larger than any network's.
    """
    tensors, _ = read_tensors(path)
    return find_state(tensors, str(path))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return everything in a safetensors file: its tensors, memory-mapped, and its metadata.

    Raises:
        ModelError: it is damaged.
        UntrustedError: its header is larger than any network's.
    """
    with path.open("rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if header > _MAX_HEADER:
        message = f"{path}: refused, a header of {header:,} bytes"
        raise UntrustedError(message)
    try:
        with safe_open(str(path), framework="pt", device="cpu") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
            return tensors, dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        message = (
            f"{path}: damaged safetensors file ({first_line(error)}); download or save it again"
        )
        raise ModelError(message) from error
