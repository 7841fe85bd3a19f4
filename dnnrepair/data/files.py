"""Arrays and tensors in files; nothing in a file is executed."""

from __future__ import annotations

import zipfile
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from dnnrepair.data.samples import as_tensor
from dnnrepair.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

INPUTS = ("x", "X", "images", "inputs", "data", "features", "input_ids")
TARGETS = ("y", "Y", "labels", "targets", "target", "label")
_PARTS = ("test", "val", "valid", "train")


def read_npz(path: Path, part: str) -> tuple[tuple[Tensor, ...], Tensor | None]:
    """Return inputs and labels of an ``.npz``: ``x`` and ``y``, or ``x_test`` for part "test".

    Raises:
        DataError: if it is damaged, holds pickled objects, or the names are missing.
    """
    try:
        loaded: Any = np.load(path, allow_pickle=False, mmap_mode="r")
        if isinstance(loaded, np.ndarray):
            return (as_tensor(loaded),), None
        with loaded as archive:
            chosen = choose(tuple(archive.files), part, str(path))
            arrays = {name: archive[name] for name in chosen if name}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, KeyError) as error:
        if "allow_pickle" in str(error):
            message = f"{path} holds pickled objects, which could run code; save plain arrays"
        else:
            message = f"{path} cannot be read as NumPy arrays: {error}"
        raise DataError(message) from error
    return _pair(arrays, *chosen)


def read_tensors(path: Path, part: str) -> tuple[tuple[Tensor, ...], Tensor | None]:
    """Return inputs and labels of a ``.pt`` or ``.safetensors`` file; no code in it runs.

    Raises:
        DataError: if it is damaged, would run code, or the names are missing.
    """
    try:
        if path.suffix == ".safetensors":
            held: Any = load_file(path)
        else:
            held = torch.load(path, weights_only=True, map_location="cpu")
    except UnpicklingError as error:
        message = f"{path} holds objects that could run code; save plain tensors"
        raise DataError(message) from error
    except (SafetensorError, RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        line = str(error).strip().partition("\n")[0]
        message = f"{path} cannot be read as tensors: {line}"
        raise DataError(message) from error
    if isinstance(held, torch.Tensor):
        return (held,), None
    if isinstance(held, tuple | list) and all(isinstance(v, torch.Tensor) for v in held):
        *inputs, targets = held
        return (tuple(inputs), targets) if inputs else ((targets,), None)
    if not isinstance(held, dict):
        message = f"{path} holds {type(held).__name__}; save a dict with x and y"
        raise DataError(message)
    return _pair(held, *choose(tuple(map(str, held)), part, str(path)))


def choose(names: tuple[str, ...], part: str, where: str) -> tuple[str, str]:
    """Return the names of inputs and labels ("" if there are none) among those in a file.

    Raises:
        DataError: if no name is that of inputs, or there are several parts and none was chosen.
    """
    suffix = f"_{part}" if part else ""
    found = next((n + suffix for n in INPUTS if n + suffix in names), None)
    label = next((n + suffix for n in TARGETS if n + suffix in names), "")
    if found:
        return found, label
    parts = [p for p in _PARTS if any(f"{n}_{p}" in names for n in INPUTS)]
    if parts and not part:
        return choose(names, parts[0], where)
    listed = ", ".join(names[:12]) or "nothing"
    wanted = f"x{suffix} and y{suffix}"
    message = (
        f"{where} holds {listed}, but no {wanted}; rename the arrays or name a part ('file:test')"
    )
    raise DataError(message)


def _pair(
    arrays: Mapping[str, Any], inputs: str, label: str
) -> tuple[tuple[Tensor, ...], Tensor | None]:
    return (as_tensor(arrays[inputs]),), as_tensor(arrays[label]) if label else None
