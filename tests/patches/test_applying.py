"""Apply and revert are exact inverses, and refuse whatever they were not made for."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from torch import Tensor

from dnnrepair.bits import identical
from dnnrepair.errors import PatchError
from dnnrepair.patch import Edit, Patch
from dnnrepair.patches.applying import applied, mismatch, reverted
from tests.patches.conftest import changes

BASE = {"fc.weight": torch.arange(6.0).reshape(2, 3), "fc.bias": torch.zeros(2)}
AFTER = {"fc.weight": torch.tensor([[0.0, 1.0, 2.5], [3.0, -1.0, 5.0]])}
PATCH = Patch.of(BASE, AFTER)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return list(one) == list(other) and all(identical(one[key], other[key]) for key in one)


@given(changes())
def test_a_patch_and_its_revert_cancel(pair: tuple[dict[str, Tensor], dict[str, Tensor]]) -> None:
    base, after = pair
    copies = {name: value.clone() for name, value in base.items()}
    patch = Patch.of(base, after)
    found = applied(base, patch)
    assert same(found, after)
    assert same(reverted(found, patch), base)
    assert same(base, copies), "the network was changed"
    if not patch.edits:
        assert all(found[name] is base[name] for name in base)


def test_tensors_in_any_memory_layout() -> None:
    base = {"w": torch.arange(6.0).reshape(3, 2).T, "e": torch.zeros(1).expand(4)}
    after = {"w": base["w"] * 2, "e": torch.arange(4.0)}
    assert same(applied(base, Patch.of(base, after)), after)


def test_what_stays_is_not_copied() -> None:
    assert applied(BASE, PATCH)["fc.bias"] is BASE["fc.bias"]


def test_another_network_is_refused_with_the_first_difference() -> None:
    other = {**BASE, "fc.weight": BASE["fc.weight"] + 1}
    with pytest.raises(PatchError, match=r"made for a network with digest \w{16}.*has \w{16}") as e:
        applied(other, PATCH)
    assert "fc.weight[0, 2] is 3.0, not 2.0 as expected" in str(e.value)
    with pytest.raises(PatchError, match="results in a network with digest"):
        reverted(other, PATCH)


def test_twice_is_once_too_often() -> None:
    with pytest.raises(PatchError, match="already applied"):
        applied(applied(BASE, PATCH), PATCH)
    with pytest.raises(PatchError, match="not applied"):
        reverted(BASE, PATCH)


def test_other_numbers_before_are_refused() -> None:
    (edit,) = PATCH.edits
    lying = replace(PATCH, edits=(replace(edit, before=edit.before + 1),))
    with pytest.raises(PatchError, match=r"contradicts itself: fc.weight\[0, 2\] is 2.0, not 3.0"):
        applied(BASE, lying)


def test_another_result_is_refused() -> None:
    (edit,) = PATCH.edits
    lying = replace(PATCH, edits=(replace(edit, after=edit.after + 1),))
    with pytest.raises(PatchError, match="leads to digest"):
        applied(BASE, lying)


ONE = torch.ones(1)


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (Edit("no", torch.tensor([[0]]), ONE, ONE), "no tensor 'no'"),
        (Edit("fc.bias", torch.tensor([[2]]), ONE, ONE), r"is \(2,\), without the place fc.bias"),
        (Edit("fc.bias", torch.tensor([[0, 0]]), ONE, ONE), "without the place"),
        (
            Edit("fc.bias", torch.tensor([[0]]), ONE.half(), ONE.half()),
            "not torch.float16",
        ),
        (Edit("fc.bias", torch.tensor([[1]]), ONE, ONE), r"fc.bias\[1\] is 0.0, not 1.0"),
        (Edit("fc.bias", torch.tensor([[1]]), -ONE * 0, ONE), r"is 0.0, not -0.0"),
    ],
)
def test_differences_are_named(edit: Edit, match: str) -> None:
    assert re.search(match, mismatch(BASE, [*PATCH.edits, edit]))
    assert not mismatch(BASE, PATCH.edits)


def test_stacks_come_off_in_reverse_order() -> None:
    middle = applied(BASE, PATCH)
    second = Patch.of(middle, {"fc.weight": middle["fc.weight"].neg(), "fc.bias": torch.ones(2)})
    last = applied(middle, second)
    assert same(reverted(reverted(last, second), PATCH), BASE)
    with pytest.raises(PatchError):
        applied(BASE, second)
    with pytest.raises(PatchError):
        reverted(last, PATCH)
