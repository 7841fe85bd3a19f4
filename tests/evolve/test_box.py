"""The box and the first population."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dnnrepair.errors import SettingError
from dnnrepair.evolve.box import Box, arachne_box
from dnnrepair.evolve.draws import seed_words
from dnnrepair.evolve.start import Normal, Uniform, arachne_normal, around

SEEDS = seed_words([3, 4], torch.device("cpu"))
LAYERS = st.lists(
    st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=9), min_size=1, max_size=4
)


@given(LAYERS)
def test_arachnes_bounds_are_those_of_its_code(layers: list[list[float]]) -> None:
    tensors = [torch.tensor(layer).view(1, -1) for layer in layers]
    box = arachne_box(tensors, torch.arange(len(layers)))
    for place, layer in enumerate(layers):
        least, most = min(layer), max(layer)
        assert box.low[place] == (least * 2 if least < 0 else least / 2)
        assert box.high[place] == (most * 2 if most > 0 else most / 2)


def test_arachnes_start_has_the_mean_and_spread_of_the_layers() -> None:
    layers = [torch.randn(4, 5), torch.randn(7) * 9 + 100]
    owner = torch.tensor([1, 0, 1])
    start = arachne_normal(layers, owner)
    values = start(SEEDS, arachne_box(layers, owner), 4000)
    assert values.shape == (2, 4000, 3)
    for weight, layer in enumerate((1, 0, 1)):
        numbers = layers[layer].double().numpy()
        spread = (values[0, :, weight].numpy() - numbers.mean()) / np.std(numbers)
        assert stats.kstest(spread, "norm").pvalue > 1e-3
    assert (arachne_box(layers, owner).clip(values) != values).any()  # not clipped


def test_the_original_is_the_first_candidate_if_given() -> None:
    layers, owner, original = [torch.randn(5)], torch.tensor([0, 0]), torch.tensor([9.0, -9.0])
    box = arachne_box(layers, owner)
    plain = arachne_normal(layers, owner)(SEEDS, box, 6)
    seeded = arachne_normal(layers, owner, original=original)(SEEDS, box, 6)
    assert torch.equal(seeded[:, 0], original.expand(2, 2))
    assert torch.equal(seeded[:, 1:], plain[:, 1:])


def test_a_start_around_values_stays_in_the_box() -> None:
    box = Box(torch.tensor([[0.0], [10.0]]), torch.tensor([[1.0], [11.0]]))
    values = around(torch.tensor([[0.5], [10.5]]), torch.tensor([5.0]))(SEEDS, box, 50)
    assert torch.equal(box.clip(values), values)
    assert values[:, 0, 0].tolist() == [0.5, 10.5]
    assert {0.0, 1.0} <= set(values[0, :, 0].tolist())  # moved to the border


def test_a_uniform_start_fills_the_box() -> None:
    box = Box(torch.tensor([-2.0]), torch.tensor([6.0]))
    values = Uniform()(SEEDS, box, 4000)[1, :, 0]
    assert stats.kstest((values.numpy() + 2) / 8, "uniform").pvalue > 1e-3


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor(values)


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (numbers(), numbers()),
        (numbers(1.0), numbers(0.0)),
        (numbers(math.nan), numbers(0.0)),
        (numbers(0.0), numbers(math.inf)),
        (numbers(0.0), numbers(0.0, 1.0)),
        (torch.zeros(()), torch.ones(())),
        (torch.zeros(1).long(), torch.ones(1).long()),
        (torch.zeros(1), torch.ones(1).double()),
    ],
)
def test_bounds_that_bound_nothing_are_refused(low: torch.Tensor, high: torch.Tensor) -> None:
    with pytest.raises(SettingError, match=r"the bounds of the search are .*; give"):
        Box(low, high)


def test_what_does_not_fit_the_box_is_refused() -> None:
    box = Box(torch.zeros(3, 2), torch.ones(3, 2))
    with pytest.raises(SettingError, match="3 searches"):
        box.check_searches(2)
    flat = Box(torch.zeros(2), torch.ones(2))
    with pytest.raises(SettingError, match="the start has shape"):
        Normal(mean=torch.zeros(3), std=torch.ones(3))(SEEDS, flat, 4)
    with pytest.raises(SettingError, match="the original weights have shape"):
        Uniform(torch.zeros(3))(SEEDS, flat, 4)
