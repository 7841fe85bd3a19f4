"""A patch is the difference between two networks, no more and no less."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dnnrepair.bits import digest
from dnnrepair.errors import PatchError
from dnnrepair.patch import Edit, Patch

FLOATS = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


def changed_places(before: Tensor, after: Tensor) -> list[tuple[int, ...]]:
    """Return where bytes differ, one number after the other."""
    return [
        place
        for place in itertools.product(*map(range, before.shape))
        if before[place].reshape(1).view(torch.uint8).tolist()
        != after[place].reshape(1).view(torch.uint8).tolist()
    ]


@given(
    st.sampled_from(FLOATS), st.lists(st.integers(1, 4), max_size=3), st.integers(0, 99), st.data()
)
def test_an_edit_holds_exactly_the_numbers_whose_bits_differ(
    kind: torch.dtype, shape: list[int], seed: int, data: st.DataObject
) -> None:
    before = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(kind)
    values = st.sampled_from([0.0, -0.0, 1.0, float("inf")])
    after = before.clone()
    for place in itertools.product(*map(range, shape)):
        if data.draw(st.booleans()):
            after[place] = data.draw(values)
    edit = Edit.between("w", before, after)
    assert list(map(tuple, edit.index.tolist())) == changed_places(before, after)
    assert [before[tuple(i)].item() for i in edit.index.tolist()] == edit.before.tolist()
    assert [after[tuple(i)].item() for i in edit.index.tolist()] == edit.after.tolist()
    assert edit.before.dtype == edit.after.dtype == kind


def test_minus_zero_is_a_change_and_the_same_nan_is_none() -> None:
    before = torch.tensor([0.0, float("nan"), 1.0])
    edit = Edit.between("w", before, torch.tensor([-0.0, float("nan"), 1.0]))
    assert edit.index.tolist() == [[0]]


def test_a_nan_can_be_mended_and_not_be_made() -> None:
    sick, well = torch.tensor([float("nan"), 2.0]), torch.tensor([1.0, 2.0])
    assert Edit.between("w", sick, well).after.tolist() == [1.0]
    with pytest.raises(PatchError, match=r"w\[0\] would become NaN"):
        Edit.between("w", well, sick)


@pytest.mark.parametrize(
    ("after", "match"),
    [
        (torch.zeros(3), r"is \(2,\), not \(3,\)"),
        (torch.zeros(2, dtype=torch.float64), "keeps the type"),
    ],
)
def test_what_is_no_change_of_numbers_is_refused(after: Tensor, match: str) -> None:
    with pytest.raises(PatchError, match=match):
        Edit.between("w", torch.zeros(2), after)
    with pytest.raises(PatchError, match="one of plain numbers"):
        Edit.between("w", torch.zeros(2, dtype=torch.cfloat), torch.ones(2, dtype=torch.cfloat))


def test_a_patch_names_both_networks_and_skips_what_stays() -> None:
    base = {"a": torch.zeros(2, 3), "b": torch.ones(2), "c": torch.tensor(3.0)}
    new = {"a": base["a"].clone(), "b": torch.tensor([1.0, 5.0]), "c": torch.tensor(4.0)}
    patch = Patch.of(base, new, method="m", settings={"alpha": 10}, seed=3)
    assert [edit.tensor for edit in patch.edits] == ["b", "c"]
    assert patch.count == 2
    assert (patch.base, patch.result) == (digest(base), digest(new))
    assert patch.inverse.inverse == patch
    assert patch.inverse == Patch.of(new, base, method="m", settings={"alpha": 10}, seed=3)
    assert patch != Patch.of(base, {"b": torch.tensor([1.0, 6.0])})
    assert not Patch.of(base, {}).edits


def test_a_patch_of_unknown_tensors_is_refused() -> None:
    with pytest.raises(PatchError, match="no tensor 'z'"):
        Patch.of({"a": torch.zeros(1)}, {"z": torch.zeros(1)})


def test_edits_compare_by_value() -> None:
    one = Edit.between("w", torch.zeros(2), torch.ones(2))
    assert one == Edit.between("w", torch.zeros(2), torch.ones(2))
    assert hash(one) == hash(Edit.between("w", torch.zeros(2), torch.ones(2)))
    assert one != Edit.between("v", torch.zeros(2), torch.ones(2))
    assert one != Edit.between("w", torch.zeros(2), torch.tensor([1.0, 2.0]))
    assert one != "w"
