"""Real images that benchmarks read from a folder the user names."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch

from dnnrepair.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

FASHION_MNIST = "fashion_mnist/fashion_mnist.npz"
CIFAR10 = "cifar10/cifar10_full_jpeg.npz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Images with labels, in two parts.

    Attributes:
        train_x, test_x: uint8 ``(N, C, H, W)``.
        train_y, test_y: int64 ``(N,)``.
    """

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor


def fashion_mnist(folder: Path) -> Images:
    """Return 60,000 and 10,000 grey images of clothes, 28 x 28 (Xiao et al. 2017).

    Raises:
        DataError: if ``folder`` holds no Fashion-MNIST.
    """
    with _opened(folder / FASHION_MNIST) as stored:
        return Images(
            train_x=torch.from_numpy(stored["x_train"]).unsqueeze(1),
            train_y=_labels(stored["y_train"]),
            test_x=torch.from_numpy(stored["x_test"]).unsqueeze(1),
            test_y=_labels(stored["y_test"]),
        )


def cifar10(folder: Path) -> Images:
    """Return 50,000 and 10,000 color images, 32 x 32 (Krizhevsky 2009), from JPEGs in one file.

    Raises:
        DataError: if ``folder`` holds no CIFAR-10, or Pillow is not installed.
    """
    with _opened(folder / CIFAR10) as stored:
        return Images(
            train_x=_decoded(stored["jpeg_train"], stored["offset_train"]),
            train_y=_labels(stored["y_train"]),
            test_x=_decoded(stored["jpeg_test"], stored["offset_test"]),
            test_y=_labels(stored["y_test"]),
        )


def scaled(images: Tensor) -> Tensor:
    """Return uint8 images as float32 in [0, 1]."""
    return images.float() / 255


def _opened(path: Path) -> np.lib.npyio.NpzFile:
    if not path.is_file():
        message = f"{path} does not exist; give the folder of the data sets with --data-dir"
        raise DataError(message)
    stored: np.lib.npyio.NpzFile = np.load(path, allow_pickle=False)
    return stored


def _labels(values: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(values.reshape(-1).astype(np.int64))


def _decoded(content: NDArray[np.uint8], offsets: NDArray[np.int64]) -> Tensor:
    """Return the JPEGs that lie end to end in ``content``, as ``(N, 3, H, W)``."""
    try:
        from PIL import Image
    except ImportError as error:
        message = "CIFAR-10 lies in JPEGs: pip install 'dnnrepair[images]'"
        raise DataError(message) from error
    images = [
        np.asarray(Image.open(BytesIO(content[begin:end].tobytes())))
        for begin, end in pairwise(offsets)
    ]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
