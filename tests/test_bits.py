"""Numbers are compared by their bits."""

from __future__ import annotations

import struct

import pytest
import torch

from dnnrepair.bits import bits, digest, identical


def test_bits_are_those_that_memory_holds() -> None:
    numbers = [0.0, -0.0, 1.5, float("nan"), float("inf")]
    found = bits(torch.tensor(numbers, dtype=torch.float64))
    assert found.tolist() == [struct.unpack("<q", struct.pack("<d", n))[0] for n in numbers]
    assert bits(torch.ones(3, 2, dtype=torch.bfloat16).T).shape == (2, 3)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (torch.tensor([0.0, float("nan")]), True),
        (torch.tensor([-0.0, float("nan")]), False),
        (torch.tensor([[0.0, float("nan")]]), False),
        (torch.tensor([0.0, float("nan")], dtype=torch.float64), False),
    ],
)
def test_identical_is_stricter_and_laxer_than_equal(other: torch.Tensor, *, same: bool) -> None:
    assert identical(torch.tensor([0.0, float("nan")]), other) is same


def test_a_digest_knows_names_shapes_types_and_bits_but_no_order() -> None:
    one, two = torch.zeros(2, 3), torch.ones(3)
    first = digest({"a": one, "b": two})
    assert first == digest({"b": two, "a": one.T.contiguous().T})
    others = ({"a": -one, "b": two}, {"a": one.T, "b": two}, {"a": one}, {"a": one, "c": two})
    assert first not in {digest(other) for other in others}
