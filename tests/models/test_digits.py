"""The embedded data against scikit-learn's copy and torch's interpolation."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
import torch

from dnnrepair.models import views
from dnnrepair.models.digits import CLASSES, digits


def test_they_are_the_digits_of_scikit_learn() -> None:
    """Every image of theirs is in exactly one of our parts, with its label."""
    data = digits()
    original = import_module("sklearn.datasets").load_digits()
    ours = np.concatenate([data.train_x, data.test_x]).reshape(-1, 64) * 16
    labels = np.concatenate([data.train_y, data.test_y])
    found = np.lexsort((*ours.T, labels))
    wanted = np.lexsort((*original.data.T, original.target))
    assert np.array_equal(ours[found], original.data[wanted])
    assert np.array_equal(labels[found], original.target[wanted])


def test_both_parts_hold_every_class_in_its_share() -> None:
    data = digits()
    train, test = (np.bincount(y, minlength=CLASSES) for y in (data.train_y, data.test_y))
    assert (len(data.train_y), len(data.test_y)) == (1198, 599)
    assert np.abs(test - train / 2).max() <= 1


@pytest.mark.parametrize("side", [16, 28])
def test_they_are_resized_as_torch_does(side: int) -> None:
    small = torch.from_numpy(digits().test_x).unsqueeze(1)
    wanted = torch.nn.functional.interpolate(small, size=(side, side), mode="bilinear")
    found = torch.from_numpy(digits(side).test_x)
    torch.testing.assert_close(found, wanted[:, 0])


def test_tokens_count_the_levels_of_their_patch() -> None:
    image = torch.from_numpy(digits().test_x[0])
    levels = (image * 16).long() * 3 // 17
    slow = [
        sum(int(levels[r + k // 2, c + k % 2]) * 3**k for k in range(4))
        for r in range(0, 8, 2)
        for c in range(0, 8, 2)
    ]
    assert views.tokens().test_inputs[0].tolist() == slow


def test_columns_of_the_table_are_standardized() -> None:
    x = views.table().train_inputs
    torch.testing.assert_close(x.mean(dim=0), torch.zeros(x.shape[1]), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std(dim=0), torch.ones(x.shape[1]), atol=1e-5, rtol=0)
