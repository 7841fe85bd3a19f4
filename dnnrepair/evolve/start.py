"""Where a population comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from dnnrepair.errors import SettingError
from dnnrepair.evolve import draws

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnnrepair.evolve.box import Box

STREAM = 0  # the numbers of a start are independent of those of the search


class Start(Protocol):
    """Draws the first population."""

    def __call__(self, seeds: Tensor, box: Box, candidates: int) -> Tensor:
        """Return ``(S, candidates, k)`` values for seeds ``(S,)``, as words."""
        ...


@dataclass(frozen=True, slots=True)
class Uniform:
    """Uniform in the box.

    Attributes:
        original: what candidate 0 is instead, ``(k,)`` or ``(S, k)``.
    """

    original: Tensor | None = None

    def __call__(self, seeds: Tensor, box: Box, candidates: int) -> Tensor:
        """Return values in the box, ``(S, candidates, k)``."""
        share = draws.uniform(_words(seeds, candidates, box.weights), box.low.dtype)
        width = (box.high - box.low).unsqueeze(-2)
        return _with(self.original, box.clip(box.low.unsqueeze(-2) + share * width))


@dataclass(frozen=True, slots=True, kw_only=True)
class Normal:
    """Normal, each weight with a mean and spread of its own, ``(k,)`` or ``(S, k)``.

    Attributes:
        mean: of each weight.
        std: standard deviation of each weight, not negative.
        original: what candidate 0 is instead, ``(k,)`` or ``(S, k)``; never clipped.
        clip: whether what falls outside the box is moved to its border.
    """

    mean: Tensor
    std: Tensor
    original: Tensor | None = None
    clip: bool = False

    def __call__(self, seeds: Tensor, box: Box, candidates: int) -> Tensor:
        """Return normal values, ``(S, candidates, k)``."""
        noise = draws.normal(_words(seeds, candidates, box.weights)).to(box.low.dtype)
        mean, std = (_fitting(values, box).unsqueeze(-2) for values in (self.mean, self.std))
        values = mean + noise * std
        return _with(self.original, box.clip(values) if self.clip else values)


def arachne_normal(
    layers: Sequence[Tensor], owner: Tensor, *, original: Tensor | None = None
) -> Normal:
    """Return Arachne's start: the mean and spread of the layer that each weight belongs to.

    Not clipped to the box (Sohn, Kang and Yoo, TOSEM 2023). Arachne itself includes no original
    weights, so what it finds can be worse than what it was given.

    Args:
        layers: the weight tensors, of any shapes.
        owner: which of them each of the weights belongs to, int64 ``(k,)``.
        original: the present values of the weights, ``(k,)``; None to be faithful.
    """
    exact = [layer.double() for layer in layers]
    mean = torch.stack([layer.mean() for layer in exact])[owner]
    std = torch.stack([layer.std(correction=0) for layer in exact])[owner]
    return Normal(mean=mean, std=std, original=original)


def around(values: Tensor, std: Tensor) -> Normal:
    """Return a start near the present values ``(k,)`` or ``(S, k)``, which it includes."""
    return Normal(mean=values, std=std, original=values, clip=True)


def _words(seeds: Tensor, candidates: int, weights: int) -> Tensor:
    key = draws.keys(seeds, STREAM, torch.zeros(1, dtype=torch.int64, device=seeds.device))[0]
    return draws.words(key, candidates * weights).view(len(seeds), candidates, weights)


def _with(original: Tensor | None, values: Tensor) -> Tensor:
    if original is not None:
        if original.shape not in {values.shape[2:], (len(values), values.shape[2])}:
            message = (
                f"the original weights have shape {tuple(original.shape)}, the search is for "
                f"{values.shape[2]} weights; give one value for each"
            )
            raise SettingError(message)
        values[:, 0] = original.to(values)
    return values


def _fitting(values: Tensor, box: Box) -> Tensor:
    if values.ndim not in {1, 2} or values.shape[-1] != box.weights:
        message = (
            f"the start has shape {tuple(values.shape)}, the box is for {box.weights} weights; "
            "give one value for each"
        )
        raise SettingError(message)
    return values.to(box.low)
