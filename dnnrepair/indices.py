"""Inputs that the user names by their positions in the data, counted from 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from dnnrepair.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor


def read_indices(path: Path) -> tuple[int, ...]:
    """Return positions of inputs from a text file, one per line, or from ``.npy``.

    Raises:
        SettingError: if the file cannot be read, or holds anything else.
    """
    try:
        return _stored(path) if path.suffix == ".npy" else _written(path)
    except (OSError, ValueError, EOFError) as error:
        message = f"cannot read {path}: {error}; give one whole number per line, from 0 on"
        raise SettingError(message) from error


def marked(indices: Sequence[int], count: int) -> Tensor:
    """Return which of ``count`` inputs are named, bool ``(count,)``.

    Raises:
        SettingError: if there is none, or one is out of range.
    """
    outside = next((index for index in indices if not 0 <= index < count), None)
    if outside is not None or not indices:
        what = "no input is named" if outside is None else f"input {outside} is out of range"
        message = f"{what}; the data have {count}, 0 to {count - 1}"
        raise SettingError(message)
    mask = torch.zeros(count, dtype=torch.bool)
    mask[list(indices)] = True
    return mask


def _written(path: Path) -> tuple[int, ...]:
    return tuple(int(word) for word in path.read_text("utf-8").split())


def _stored(path: Path) -> tuple[int, ...]:
    found = np.load(path, allow_pickle=False)
    if found.dtype.kind not in "iu":
        message = f"it holds {found.dtype} values"
        raise ValueError(message)
    return tuple(found.reshape(-1).tolist())
