"""Places in few bytes, and back."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dnnrepair.errors import PatchError
from dnnrepair.patches.packing import box_of, packed, unpacked


@given(st.lists(st.integers(1, 9), max_size=4), st.floats(0, 1), st.integers(0, 999))
def test_places_come_back(shape: list[int], share: float, seed: int) -> None:
    hit = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) <= share
    index = hit.nonzero()
    if not len(index):
        return
    box = box_of(index)
    assert all(side <= whole for side, whole in zip(box, shape, strict=True))
    assert torch.equal(unpacked(packed(index, box), box, len(index)), index)


def test_few_are_positions_and_many_are_bits() -> None:
    few = torch.tensor([[0, 3], [999, 5]])
    assert packed(few, box_of(few)).tolist() == [3, 999 * 6 + 5]
    many = torch.ones(1000, 100).nonzero()
    assert packed(many, box_of(many)).numel() == 12_500
    far = torch.tensor([[2**20, 2**20, 2**20]])
    assert packed(far, box_of(far)).dtype == torch.int64


@pytest.mark.parametrize("places", [[[1], [0]], [[1], [1]]])
def test_disorder_is_refused(places: list[list[int]]) -> None:
    index = torch.tensor(places)
    with pytest.raises(PatchError, match="in order"):
        packed(index, box_of(index))


def integers(*numbers: int) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.int32)


@pytest.mark.parametrize(
    ("stored", "box", "count", "match"),
    [
        (integers(0, 1), [4], 3, "2 places for 3"),
        (integers(0, 4), [4], 2, "out of range"),
        (integers(-1, 2), [4], 2, "out of range"),
        (integers(2, 1), [4], 2, "out of order"),
        (integers(1, 1), [4], 2, "out of order"),
        (integers(), [4], 0, "out of range"),
        (integers(0), [2**40, 2**40], 1, "a box of"),
        (integers(0), [1] * 65, 1, "a box of"),
        (integers(0), [0], 1, "a box of"),
        (integers(0), [-3, -3], 1, "a box of"),
        (torch.zeros(2, dtype=torch.uint8), [8], 1, "a bitmap of 2 bytes"),
        (torch.ones(1, dtype=torch.uint8), [7], 1, "0 places"),
        (torch.full((1,), 255, dtype=torch.uint8), [8], 3, "8 places for 3"),
        (torch.zeros(1, dtype=torch.uint8), [2**62], 1, "a bitmap of 1 bytes"),
    ],
)
def test_crafted_places_are_refused(
    stored: torch.Tensor, box: list[int], count: int, match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        unpacked(stored, box, count)
