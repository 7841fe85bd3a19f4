"""What a reviewer reads of a patch."""

from __future__ import annotations

import torch

from dnnrepair.patch import Patch
from dnnrepair.patches.sheet import LARGEST, MANY, sheet_of

BASE = {"a.weight": torch.zeros(30, 2), "b": torch.ones(3)}


def test_few_numbers_are_listed_in_order() -> None:
    new = {"b": torch.tensor([1.0, 3.0, -9.0])}
    (changed,) = sheet_of(Patch.of(BASE, new), "x").changed
    assert [(n.index, n.before, n.after) for n in changed.numbers] == [
        ((1,), 1.0, 3.0),
        ((2,), 1.0, -9.0),
    ]
    assert (changed.layer, changed.parameter, changed.count) == ("", "b", 2)
    assert changed.norm == (2**2 + 10**2) ** 0.5


def test_of_many_the_largest_are_listed() -> None:
    new = torch.arange(1.0, 61.0).reshape(30, 2) * torch.tensor([1.0, -1.0])
    patch = Patch.of(BASE, {"a.weight": new})
    (changed,) = sheet_of(patch, "x").changed
    assert changed.count == 60 > MANY
    assert [abs(n.after) for n in changed.numbers] == [float(60 - i) for i in range(LARGEST)]
    assert all(n.after == new[n.index] for n in changed.numbers)
    assert len(sheet_of(patch, "x", many=60).changed[0].numbers) == 60


def test_a_mended_nan_is_the_largest_change() -> None:
    base = {"w": torch.zeros(MANY + 1)}
    base["w"][3] = float("nan")
    (changed,) = sheet_of(Patch.of(base, {"w": torch.ones(MANY + 1)}), "x").changed
    assert changed.numbers[0].index == (3,)
