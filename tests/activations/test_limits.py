"""Activations that become another one as they grow sharper, against published distances."""

from __future__ import annotations

import math

import pytest
import torch

from dnnrepair.activations import find
from dnnrepair.activations.limits import limit
from dnnrepair.errors import SettingError, UnknownNameError

# sup error times sharpness; of ULU, whose slope is that of Swish at twice its a, .1392 / a
DISTANCES = {
    "swish": 0.2785,
    "ulu": 0.2785,
    "aulu": 0.2785,
    "softplus": math.log(2),
    "silu": 0.2785,
    "gelu": 0.1700,
    "mish": 0.3088,
    "xatlu": 1 / math.pi,
    "hardswish": 0.375,
    "elu": 1.0,
}


@pytest.mark.parametrize("sharpness", [5.0, 20.0, 100.0])
@pytest.mark.parametrize("name", DISTANCES)
def test_the_distance_from_relu_falls_like_one_over_the_sharpness(
    name: str, sharpness: float
) -> None:
    found = limit(find("relu"), name, sharpness)
    assert found is not None
    assert found.error == pytest.approx(DISTANCES[name] / sharpness, rel=2e-3)
    x = torch.linspace(-9, 9, 40_001, dtype=torch.float64)[:, None]
    seen = float((found.graft.apply(x) - x.relu()).abs().max())
    assert seen <= found.error * (1 + 1e-5)
    assert found.graft.activation.name == name


def test_what_is_relu_under_another_name_has_the_same_limits() -> None:
    one, other = limit(find("relu"), "swish", 9.0), limit(find("prelu", slope=0.0), "swish", 9.0)
    assert one == other


@pytest.mark.parametrize("old", ["elu", "relu_squared"])
def test_xielu_tends_to_elu_and_to_the_square_of_relu(old: str) -> None:
    x = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    errors = []
    for sharpness in (5.0, 10.0, 28.0):
        found = limit(find(old), "xielu", sharpness)
        assert found is not None
        module = found.graft.activation.module(dtype=torch.float64)
        errors.append(float((module(x) - find(old).function(x)).abs().max().detach()))
        assert errors[-1] <= found.error
    assert errors[0] > 10 * errors[1] > 1e4 * errors[2]
    assert errors[2] < 1e-10


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("relu", "tanh"),  # bounded
        ("relu", "swim"),  # has a slope below 0
        ("relu", "selu"),  # another slope above 0
        ("relu", "relu_squared"),
        ("relu", "maxout"),
        ("relu", "pann"),
        ("sigmoid", "swish"),
        ("leaky_relu", "swish"),
        ("relu", "xielu"),
    ],
)
def test_where_there_is_no_limit_none_is_given(old: str, new: str) -> None:
    assert limit(find(old), new, 20.0) is None


def test_what_cannot_be_is_refused() -> None:
    for sharpness in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(SettingError, match="sharpness takes finite numbers above 0"):
            limit(find("relu"), "swish", sharpness)
    with pytest.raises(UnknownNameError, match="did you mean 'swish'"):
        limit(find("relu"), "swich", 5.0)
