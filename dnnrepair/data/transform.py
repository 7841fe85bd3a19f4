"""Scale, mean, std and layout, applied a batch at a time."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import DataError, SettingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from dnnrepair.data.samples import DataOptions

_COLORS = (1, 3, 4)  # channels that an image may have
_IMAGES = 4  # dimensions of a batch of images with channels


@dataclass(frozen=True)
class Transform:
    """What is done to a batch of inputs, in this order.

    Attributes:
        to_float: numbers become float32.
        move: dimension -1 becomes dimension 1 (NHWC to NCHW).
        add: a channel dimension is put in (gray images).
        scale: factor, None for none.
        mean: per channel, subtracted.
        std: per channel, divided by.
    """

    to_float: bool = False
    move: bool = False
    add: bool = False
    scale: float | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __call__(self, values: Tensor) -> Tensor:
        """Return the transformed batch."""
        if self.to_float:
            values = values.to(torch.float32)
        if self.move:
            values = values.movedim(-1, 1).contiguous()
        if self.add:
            values = values.unsqueeze(1)
        if self.scale is not None:
            values = values * self.scale
        if self.mean:
            values = values - _channels(self.mean, values)
        return values / _channels(self.std, values) if self.std else values


def transform_for(first: Tensor, options: DataOptions) -> tuple[Transform, tuple[str, ...]]:
    """Return the transform for data that look like ``first``, and notes on what it does.

    Args:
        first: some samples as stored.
        options: what the user asked for.

    Raises:
        SettingError: if the layout or a number is unknown or does not fit.
    """
    if options.layout not in ("auto", "NCHW", "NHWC"):
        message = f"no layout is called {options.layout!r}; known: auto, NCHW, NHWC"
        raise SettingError(message)
    if not all(map(isfinite, (*options.mean, *options.std))) or 0 in options.std:
        message = f"--mean {options.mean} --std {options.std}: give finite numbers, no std of 0"
        raise SettingError(message)
    scale = as_factor(options.scale)
    told = scale is not None or bool(options.mean or options.std)
    chosen = Transform(
        to_float=_to_float(first, told=told),
        move=_channels_last(first, options.layout),
        add=_without_channels(first, options.layout),
        scale=scale,
        mean=options.mean,
        std=options.std,
    )
    return chosen, tuple(_notes(first, chosen, options.layout))


def as_factor(scale: float | str | None) -> float | None:
    """Return what to multiply inputs by; a plain number above 1 divides.

    Raises:
        SettingError: if it is no positive number or fraction.

    >>> as_factor("1/4"), as_factor("255") == 1 / 255, as_factor(0.5), as_factor(None)
    (0.25, True, 0.5, None)
    """
    if scale is None:
        return None
    over, slash, under = str(scale).partition("/")
    try:
        value = float(over) / float(under) if slash else float(over)
    except (ValueError, ZeroDivisionError):
        value = float("nan")
    if not isfinite(value) or value <= 0:
        message = f"--scale {scale!r} is no positive number; give 1/255 or 255 to divide by 255"
        raise SettingError(message)
    return 1 / value if value > 1 and not slash else value


def _notes(first: Tensor, chosen: Transform, layout: str) -> Iterator[str]:
    if chosen.move and layout == "auto":
        yield "images were read as (height, width, channels); give --layout NCHW if they are not"
    if chosen.add:
        yield "a channel dimension was put into the gray images"
    if chosen.scale is not None:
        yield f"inputs were multiplied by {chosen.scale:.6g}"
    elif first.dtype is torch.uint8:
        yield "bytes were used as they are, 0 to 255; give --scale 1/255 if training did"
    if not chosen.to_float and not first.is_floating_point():
        yield "whole numbers were kept as token ids; give --scale 1 if they are measurements"


def _to_float(first: Tensor, *, told: bool) -> bool:
    if first.dtype in (torch.int8, torch.int16, torch.int32, torch.int64):
        return told or first.dim() == _IMAGES
    return first.dtype is not torch.float32 and first.dtype not in (torch.float16, torch.bfloat16)


def _channels_last(first: Tensor, layout: str) -> bool:
    if first.dim() != _IMAGES:
        return False
    if layout != "auto":
        return layout == "NHWC"
    _, height, width, channels = first.shape
    certain = first.dtype is torch.uint8 or height == width
    return certain and channels in _COLORS and height not in _COLORS


def _without_channels(first: Tensor, layout: str) -> bool:
    return first.dim() == _IMAGES - 1 and (first.dtype is torch.uint8 or layout != "auto")


def _channels(numbers: tuple[float, ...], values: Tensor) -> Tensor:
    """Return the numbers in a shape that meets dimension 1 of images, the last of other data."""
    place = 1 if values.dim() >= _IMAGES else -1
    channels = values.shape[place] if values.dim() > 1 else 1
    if len(numbers) not in (1, channels):
        message = f"{len(numbers)} numbers for mean or std, but the data have {channels} channels"
        raise DataError(message)
    shape = [1] * values.dim()
    shape[place] = len(numbers)
    return torch.tensor(numbers, dtype=values.dtype).reshape(shape)
