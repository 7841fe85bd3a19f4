"""The work that a suffix needs, against counts made another way."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

from dnnrepair.bench.limit import (
    CONV,
    COPY,
    ELEMENTWISE,
    MATMUL,
    Work,
    abilities,
    suffix_flop,
    work_of,
)
from dnnrepair.bench.recipes import RECIPES
from dnnrepair.bench.timing import Effort, race
from dnnrepair.bench.workloads import Workload, prepare


@cache
def made(name: str) -> Workload:
    return prepare(next(r for r in RECIPES if r.name == name), 4, seed=0)


def layer_flop(module: nn.Module, inputs: torch.Tensor) -> dict[str, float]:
    """Return 2 x weights x output positions of each convolution and linear layer, per input."""
    found: dict[str, float] = {}

    def hook(name: str) -> Any:
        def note(layer: nn.Module, _args: Any, output: torch.Tensor) -> None:
            assert isinstance(layer, nn.Conv2d | nn.Linear)
            positions = output.numel() / len(output) / len(layer.weight)
            found[name] = 2.0 * layer.weight.numel() * positions

        return note

    layers = [(n, m) for n, m in module.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    handles = [layer.register_forward_hook(hook(name)) for name, layer in layers]
    with torch.no_grad():
        module(inputs[:2])
    for handle in handles:
        handle.remove()
    return found


AFTER = {
    "head": ("head",),
    "hidden": ("hidden", "head"),
    "conv, 2 channels": ("conv2", "hidden", "head"),
    "resnet20, early": ("blocks", "head"),
    "resnet20, middle": (*(f"blocks.{i}" for i in range(4, 9)), "head"),
    "resnet20, late": ("blocks.8.conv2", "head"),
}


@pytest.mark.parametrize("name", AFTER)
def test_the_flop_of_a_suffix_are_those_of_its_layers(name: str) -> None:
    workload = made(name)
    layers = layer_flop(workload.module, workload.inputs)
    own = [f for layer, f in layers.items() if f"{layer}.".startswith(tuple(_dotted(name)))]
    assert suffix_flop(workload) == sum(own)


def _dotted(name: str) -> list[str]:
    return [f"{part}." for part in AFTER[name]]


@pytest.mark.parametrize(("name", "block"), [("resnet20, early", 0), ("resnet20, middle", 4)])
def test_a_residual_suffix_is_spared_what_unchanged_channels_cost(name: str, block: int) -> None:
    workload = made(name)
    layers = layer_flop(workload.module, workload.inputs)
    units = len({place.index[0] for place in workload.places})
    channels = (16, 32)[block == 4]
    second = layers[f"blocks.{block}.conv2"]
    spared = layers[f"blocks.{block}.conv1"] + second * (1 - units / channels)
    assert work_of(workload).products == pytest.approx(suffix_flop(workload) - spared)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_no_suffix_needs_more_products_than_a_user_would_compute(recipe: Any) -> None:
    workload = made(recipe.name)
    work = work_of(workload)
    assert work.elementwise > 0
    assert work.recorded > 0
    if recipe.name != "lstm":  # whose products torch does not count
        assert 0 <= work.products < suffix_flop(workload)


def test_the_scarcest_resource_sets_the_limit() -> None:
    rates = {MATMUL: 10.0, CONV: 20.0, COPY: 5.0, ELEMENTWISE: 2.0}
    most = Work(products=40.0, elementwise=2.0, recorded=5.0)
    assert most.limit(10, 100, rates) == pytest.approx(0.05)  # 40 / 20 s for each of 10 inputs
    single = Work(products=0.0, elementwise=8.0, recorded=5.0)
    assert single.limit(10, 100, rates) == pytest.approx(0.025)
    moved = Work(products=0.0, elementwise=0.0, recorded=500.0)
    assert moved.limit(10, 100, rates) == pytest.approx(0.1)
    assert moved.limit(10, 400, rates) == pytest.approx(0.4)


def test_a_core_does_something() -> None:
    rates = race(abilities(), Effort(turns=1))
    assert set(rates) == {MATMUL, CONV, COPY, ELEMENTWISE}
    assert all(rate > 1e8 for rate in rates.values())
