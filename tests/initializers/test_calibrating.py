"""Initializers that look at data give every layer the outputs they promise."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dnnrepair.errors import DataError, ModelError
from dnnrepair.initializers import lsuv, standardized


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3),
        nn.Tanh(),
        nn.Dropout(0.5),
        nn.Conv2d(6, 4, 3, groups=2),
        nn.Softplus(),
        nn.Flatten(),
        nn.Linear(64, 10),
        nn.Sigmoid(),
        nn.Linear(10, 3),
    )


def outputs(model: nn.Sequential, x: torch.Tensor) -> list[torch.Tensor]:
    found = []
    for layer in model.eval():
        x = layer(x)
        if isinstance(layer, nn.Linear | nn.Conv2d):
            found.append(x.detach())
    return found


def images() -> torch.Tensor:
    return 5 * torch.rand(64, 1, 8, 8, generator=rng()) + 1


def test_lsuv_gives_every_layer_unit_variance() -> None:
    model = network().train()
    records = lsuv(model, [images()], rng=rng())
    assert model.training
    assert model[2].training
    assert [record.layer for record in records] == ["0", "3", "6", "8"]
    for record, out in zip(records, outputs(model, images()), strict=True):
        assert abs(float(out.std()) - 1) < 0.1
        assert record.std == pytest.approx(float(out.std()), rel=1e-5)
        assert record.tries <= 10


def test_every_unit_is_standardized() -> None:
    model = network()
    standardized(model, [images()], rng=rng())
    for out in outputs(model, images()):
        units = out.transpose(0, 1).flatten(1)
        torch.testing.assert_close(units.mean(1), torch.zeros(len(units)), atol=1e-4, rtol=0)
        torch.testing.assert_close(
            units.var(1, correction=0), torch.ones(len(units)), atol=1e-3, rtol=0
        )


def test_under_weight_norm_the_scale_is_one_over_the_deviation() -> None:
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(5, 4))
    model = nn.Sequential(layer)
    x = torch.randn(200, 5, generator=rng())
    standardized(model, [x], rng=rng())
    direction = torch.nn.functional.normalize(layer.weight.detach(), dim=1)
    scale = 1 / (x @ direction.T).std(0, correction=0)  # Salimans and Kingma 2016, eq. 6
    torch.testing.assert_close(layer.weight.norm(dim=1), scale, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(layer(x).mean(0), torch.zeros(4), atol=1e-5, rtol=0)


def test_what_cannot_be_is_refused() -> None:
    constant = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(DataError, match="gives the same for all inputs; LSUV needs a batch"):
        lsuv(constant, [torch.zeros(4, 2)], rng=rng())
    with pytest.raises(DataError, match="values that are not finite"):
        lsuv(nn.Sequential(nn.Linear(2, 2)), [torch.full((4, 2), torch.inf)], rng=rng())
    with pytest.raises(ModelError, match="'0' has no bias, which this initializer sets; use lsuv"):
        standardized(nn.Sequential(nn.Linear(2, 2, bias=False)), [torch.ones(4, 2)], rng=rng())
    with pytest.raises(ModelError, match="no linear or convolutional layer runs"):
        lsuv(nn.Sequential(nn.ReLU()), [torch.ones(4, 2)], rng=rng())
