"""The digits as each kind of network wants them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from dnnrepair.models.digits import LEVELS, SIDE, Digits, digits

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

PATCH_LEVELS = 3  # gray levels per pixel of a token
TOKENS = 16
VOCABULARY = PATCH_LEVELS**4
LATENT = 32  # numbers that a generator starts from
GENERATED_SIDE = 16
_LEAST_STD = 0.05  # a pixel that varies less is left out of the table
_MANY_LATENTS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Inputs and targets in two parts, the first for training.

    Attributes:
        train_inputs, test_inputs: ``(N, ...)``.
        train_targets, test_targets: labels ``(N,)`` int64, or values of the output's shape.
    """

    train_inputs: Tensor
    train_targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor


def _labeled(view: Callable[[Tensor], Tensor], data: Digits) -> Split:
    return Split(
        train_inputs=view(torch.from_numpy(data.train_x)),
        train_targets=torch.from_numpy(data.train_y),
        test_inputs=view(torch.from_numpy(data.test_x)),
        test_targets=torch.from_numpy(data.test_y),
    )


@lru_cache
def pixels() -> Split:
    """Return flat images ``(N, 64)`` in [0, 1]."""
    return _labeled(lambda x: x.flatten(1), digits())


@lru_cache
def images(side: int = SIDE) -> Split:
    """Return images ``(N, 1, side, side)`` in [0, 1]."""
    return _labeled(lambda x: x.unsqueeze(1), digits(side))


@lru_cache
def rows() -> Split:
    """Return each image as the sequence of its rows, ``(N, 8, 8)`` in [0, 1]."""
    return _labeled(lambda x: x, digits())


@lru_cache
def tokens() -> Split:
    """Return each image as 16 tokens ``(N, 16)``, one of 81 for each patch of 2 x 2 pixels."""
    return _labeled(_patches, digits())


def _patches(x: Tensor) -> Tensor:
    levels = (x * (LEVELS - 1)).long() * PATCH_LEVELS // LEVELS  # (N, 8, 8) in 0..2
    patches = levels.unfold(1, 2, 2).unfold(2, 2, 2).reshape(len(x), TOKENS, 4)
    weights = PATCH_LEVELS ** torch.arange(4)
    return (patches * weights).sum(dim=-1)


@lru_cache
def table() -> Split:
    """Return the pixels that vary as columns ``(N, columns)`` of mean 0 and deviation 1."""
    mean, std, kept = _columns(pixels().train_inputs)
    return _labeled(lambda x: ((x.flatten(1) - mean) / std)[:, kept], digits())


def _columns(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    std = x.std(dim=0)
    return x.mean(dim=0), std, std > _LEAST_STD


@lru_cache
def values() -> Split:
    """Return the same table with the digit as a standardized number ``(N, 1)`` to predict."""
    data = table()
    train, test = data.train_targets.float(), data.test_targets.float()
    mean, std = train.mean(), train.std()
    return Split(
        train_inputs=data.train_inputs,
        train_targets=((train - mean) / std).unsqueeze(1),
        test_inputs=data.test_inputs,
        test_targets=((test - mean) / std).unsqueeze(1),
    )


@lru_cache
def latents() -> Split:
    """Return latent samples ``(N, 32)`` and as many real images ``(N, 1, 16, 16)`` in [-1, 1]."""
    data = images(GENERATED_SIDE)
    real = torch.cat([data.train_inputs, data.test_inputs]) * 2 - 1
    rng = torch.Generator().manual_seed(0)
    drawn = torch.randn(_MANY_LATENTS, LATENT, generator=rng)
    order = torch.randperm(len(real), generator=rng)[:_MANY_LATENTS]
    return Split(
        train_inputs=drawn, train_targets=real, test_inputs=drawn, test_targets=real[order]
    )
