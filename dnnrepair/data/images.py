"""A folder of class folders of images, decoded when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from dnnrepair.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm"})


def class_folders(path: Path) -> tuple[Path, ...]:
    """Return the folders directly below that hold images, by name."""
    folders = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    return tuple(folder for folder in folders if _images(folder))


class ImageFolder:
    """Images ``(channels, height, width)``, uint8, and the number of their folder."""

    def __init__(self, folders: tuple[Path, ...]) -> None:
        """List the images of class folders."""
        self.classes = tuple(folder.name for folder in folders)
        self._files = [(file, k) for k, folder in enumerate(folders) for file in _images(folder)]
        self._shape: tuple[int, ...] | None = None

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return image and label.

        Raises:
            DataError: if the image cannot be decoded or has another size than the first.
        """
        file, label = self._files[index]
        values = _decode(file)
        if self._shape is None:
            self._shape = tuple(values.shape)
        if tuple(values.shape) != self._shape:
            message = (
                f"{file} has shape {tuple(values.shape)}, {self._files[0][0]} has {self._shape}; "
                "bring all images to one size and mode"
            )
            raise DataError(message)
        return values, label


def _images(folder: Path) -> list[Path]:
    return sorted(
        p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES and not p.name.startswith(".")
    )


def _decode(file: Path) -> Tensor:
    try:
        from PIL import Image
    except ImportError as error:
        message = "reading images needs pillow: pip install 'dnnrepair[images]'"
        raise DataError(message) from error
    try:
        with Image.open(file) as image:
            if image.mode in ("I", "F") or image.mode.startswith("I;16"):  # more than 8 bits
                return torch.from_numpy(np.asarray(image).astype(np.float32)[None])
            gray = image.mode in ("1", "L", "LA")
            values = np.array(image.convert("L" if gray else "RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        message = f"{file} cannot be decoded as an image: {error}"
        raise DataError(message) from error
    return torch.from_numpy(values[None] if gray else values.transpose(2, 0, 1).copy())
