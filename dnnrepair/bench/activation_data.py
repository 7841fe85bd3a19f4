"""The images on which activations are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.bench.datasets import fashion_mnist, scaled
from dnnrepair.models.digits import digits

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

FASHION_EPOCHS = 2
FASHION_IMAGES = 5_000  # of 60,000, to train on


@dataclass(frozen=True, kw_only=True)
class Split:
    """Images to train on and to test on.

    Attributes:
        name: of the data.
        train_x, test_x: float32 ``(N, 1, H, W)``, standardized with the training part's numbers.
        train_y, test_y: int64 ``(N,)``.
        epochs: to train for.
    """

    name: str
    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    epochs: int

    @property
    def side(self) -> int:
        """Pixels of a side."""
        return int(self.train_x.shape[-1])


def digits_split(epochs: int) -> Split:
    """Return the embedded digits."""
    data = digits()
    return _standardized(
        "digits",
        torch.from_numpy(data.train_x).unsqueeze(1),
        torch.from_numpy(data.train_y),
        torch.from_numpy(data.test_x).unsqueeze(1),
        torch.from_numpy(data.test_y),
        epochs,
    )


def fashion_split(folder: Path) -> Split:
    """Return a twelfth of Fashion-MNIST to train on, and all of its test part.

    Raises:
        DataError: if the folder holds no Fashion-MNIST.
    """
    images = fashion_mnist(folder)
    some = slice(FASHION_IMAGES)
    return _standardized(
        "Fashion-MNIST",
        scaled(images.train_x[some]),
        images.train_y[some],
        scaled(images.test_x),
        images.test_y,
        FASHION_EPOCHS,
    )


def _standardized(
    name: str, train_x: Tensor, train_y: Tensor, test_x: Tensor, test_y: Tensor, epochs: int
) -> Split:
    center, spread = train_x.mean(), train_x.std()
    return Split(
        name=name,
        train_x=(train_x - center) / spread,
        train_y=train_y,
        test_x=(test_x - center) / spread,
        test_y=test_y,
        epochs=epochs,
    )
