"""Tensors that are taken up by large pieces of memory and by files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dnnrepair.population.segments import FileSegment, Segment

DTYPES = [torch.float32, torch.float64, torch.int64, torch.bool, torch.bfloat16]
SHAPES = st.lists(st.integers(1, 4), max_size=5)


@st.composite
def tensors(draw: Any) -> torch.Tensor:
    """Draw a tensor of any layout: dense or not, its dimensions in any order in memory."""
    shape = draw(SHAPES)
    rng = torch.Generator().manual_seed(draw(st.integers(0, 9)))
    value = torch.randint(0, 2, shape, generator=rng).to(draw(st.sampled_from(DTYPES)))
    value = value.permute(draw(st.permutations(range(len(shape)))))
    if shape and draw(st.booleans()):
        value = value[: draw(st.integers(1, len(value)))]
    if draw(st.booleans()):
        value = value.unsqueeze(0).expand(3, *value.shape)
    return value


@pytest.mark.parametrize("on_disk", [False, True])
@given(st.data())
def test_tensors_are_found_again(on_disk: bool, data: st.DataObject) -> None:
    values = data.draw(st.lists(tensors(), min_size=1, max_size=5))
    with tempfile.TemporaryDirectory() as folder:
        segment = FileSegment.at(Path(folder) / "a", 1) if on_disk else Segment.of(1)
        found = [segment.append(value) for value in values]
        for mine, value in zip(found, values, strict=True):
            assert torch.equal(mine, value)
            assert mine.dtype == value.dtype
            assert mine.data_ptr() % 64 == 0
            assert mine.untyped_storage().data_ptr() == segment.seen.data_ptr()


@pytest.mark.parametrize("channels", [1, 3])
def test_images_keep_their_strides(channels: int) -> None:
    """Those of a single channel, too: libraries choose their code by strides."""
    images = torch.randn(2, channels, 4, 4).to(memory_format=torch.channels_last)
    strides = images.stride()
    assert Segment.of(1).append(images).stride() == strides


def test_there_is_room_until_it_is_taken() -> None:
    segment = Segment(torch.empty(100, dtype=torch.uint8))
    assert segment.has_room(100)
    segment.append(torch.ones(3))
    assert segment.has_room(36)
    assert not segment.has_room(37)
    assert Segment.of(1 << 30).has_room(1 << 30)
