"""Scale, mean, std and layout, applied a batch at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import DataError, SettingError

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.data.samples import DataOptions

_COLORS = (1, 3, 4)  # channels that an image may have
_IMAGES = 4  # dimensions of a batch of images with channels


@dataclass(frozen=True)
class Transform:
    """What is done to a batch of inputs.

    Attributes:
        scale: factor, None for none.
        mean: per channel, subtracted.
        std: per channel, divided by.
        move: dimension -1 becomes dimension 1 (NHWC to NCHW).
        add: a channel dimension is put in (grey images).
        to_float: integers become floats.
    """

    scale: float | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    move: bool = False
    add: bool = False
    to_float: bool = False

    def __call__(self, values: Tensor) -> Tensor:
        """Return the transformed batch."""
        if self.to_float or self.scale is not None or self.mean or self.std:
            values = values.float()
        if self.move:
            values = values.movedim(-1, 1)
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
        SettingError: if the layout is unknown or does not fit.
    """
    if options.layout not in ("auto", "NCHW", "NHWC"):
        message = f"no layout is called {options.layout!r}; known: auto, NCHW, NHWC"
        raise SettingError(message)
    bytes_ = first.dtype is torch.uint8
    move = _channels_last(first, options.layout, bytes_=bytes_)
    add = bytes_ and first.dim() == _IMAGES - 1 and options.layout != "NHWC"
    notes = []
    if move and options.layout == "auto":
        notes.append("images were read as (height, width, channels); --layout NCHW if they are not")
    if add:
        notes.append("a channel dimension was put into the grey images")
    if bytes_ and options.scale is None:
        notes.append("bytes were used as they are, 0 to 255; give --scale 1/255 if training did")
    return (
        Transform(
            scale=options.scale,
            mean=options.mean,
            std=options.std,
            move=move,
            add=add,
            to_float=bytes_,
        ),
        tuple(notes),
    )


def _channels_last(first: Tensor, layout: str, *, bytes_: bool) -> bool:
    if layout == "NHWC":
        if first.dim() != _IMAGES:
            message = f"--layout NHWC needs 4 dimensions, the data have shape {tuple(first.shape)}"
            raise SettingError(message)
        return True
    unambiguous = first.dim() == _IMAGES and first.shape[-1] in _COLORS
    return layout == "auto" and bytes_ and unambiguous and first.shape[1] not in _COLORS


def _channels(numbers: tuple[float, ...], values: Tensor) -> Tensor:
    channels = values.shape[1] if values.dim() > 1 else 1
    if len(numbers) not in (1, channels):
        message = f"{len(numbers)} numbers for mean or std, but the data have {channels} channels"
        raise DataError(message)
    shape = [1, -1, *[1] * (values.dim() - 2)] if len(numbers) > 1 else [1] * values.dim()
    return torch.tensor(numbers, dtype=values.dtype).reshape(shape)
