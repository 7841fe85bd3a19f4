"""The embedded data: 1797 handwritten digits, 8 x 8 pixels of 17 gray levels.

Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
Learning Repository, 1998, doi:10.24432/C50P49 (CC BY 4.0), the part that scikit-learn ships.
``digits.npz`` holds ``x`` (1797, 8, 8), uint8 in 0..16, and ``y`` (1797,), uint8 in 0..9.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVELS = 17  # gray levels of a pixel
SIDE = 8  # pixels
CLASSES = 10
_EVERY = 3  # one sample of three, in order of class, is for testing


@dataclass(frozen=True, slots=True, kw_only=True)
class Digits:
    """The digits in two parts, each with every class in the same share.

    Attributes:
        train_x, test_x: ``(1198, side, side)`` and ``(599, side, side)``, float32 in [0, 1].
        train_y, test_y: ``(1198,)`` and ``(599,)``, int64 in 0..9.
    """

    train_x: NDArray[np.float32]
    train_y: NDArray[np.int64]
    test_x: NDArray[np.float32]
    test_y: NDArray[np.int64]


@lru_cache(maxsize=4)
def digits(side: int = SIDE) -> Digits:
    """Return the digits, resized bilinearly to ``side`` x ``side`` pixels."""
    with (files("dnnrepair.models") / "digits.npz").open("rb") as file, np.load(file) as stored:
        x, y = stored["x"].astype(np.float32) / (LEVELS - 1), stored["y"].astype(np.int64)
    if side != SIDE:
        weights = _interpolation(side)
        x = np.einsum("ip,npq,jq->nij", weights, x, weights).astype(np.float32)
    by_class = np.argsort(y, kind="stable")
    test = np.sort(by_class[::_EVERY])
    train = np.setdiff1d(np.arange(len(y)), test)
    return Digits(train_x=x[train], train_y=y[train], test_x=x[test], test_y=y[test])


def _interpolation(side: int) -> NDArray[np.float32]:
    """Return the ``(side, 8)`` weights of linear interpolation between pixel centers."""
    centers = np.clip((np.arange(side) + 0.5) * SIDE / side - 0.5, 0, SIDE - 1)
    distance = np.abs(centers[:, None] - np.arange(SIDE)[None, :])
    weights: NDArray[np.float32] = np.maximum(0, 1 - distance).astype(np.float32)
    return weights
