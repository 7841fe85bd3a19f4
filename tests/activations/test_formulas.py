"""What activations compute, against formulas in numpy and numbers of the literature."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from dnnrepair.activations import activations, find
from dnnrepair.activations.lslu import LSLU
from dnnrepair.activations.moments import gaussian, sloped
from dnnrepair.activations.shape import shape_of
from dnnrepair.errors import SettingError, UnknownNameError
from tests.activations.formulas import FORMULAS, GAINS, MOMENTS, NODES, VECTORS

WHOLE_LAYER = {"maxout", "swiglu"}
ERROR = 1e-11
KINKS = (-3.0, -2.0, 0.0, 1.5, 3.0, 6.0)


def test_all_that_were_asked_for_are_there() -> None:
    wanted = "sigmoid tanh relu leaky_relu prelu rrelu elu selu celu softplus swish silu gelu mish "
    wanted += "hardswish relu_squared maxout swiglu ulu aulu xielu xiprelu xsilu xgelu xatlu lslu "
    wanted += "taaf swim pann hardtanh relu6 hardsigmoid series ensemble"
    assert set(wanted.split()) <= set(activations)
    assert set(FORMULAS) | WHOLE_LAYER | {"pann"} == set(activations)


@pytest.mark.parametrize("name", FORMULAS)
@settings(max_examples=30, deadline=None)
@given(x=st.lists(st.floats(-3.9, 3.9), min_size=1, max_size=20))
def test_values_and_slopes_are_those_of_the_formula(name: str, x: list[float]) -> None:
    given_settings, formula, slope = FORMULAS[name]
    smooth = [value for value in x if all(abs(value - kink) > 1e-12 for kink in KINKS)]
    inputs = np.array(smooth or [0.5])  # at kinks, torch's choice of a slope is its own
    activation = find(name, **given_settings)
    value, found = sloped(activation.function, torch.from_numpy(inputs))
    np.testing.assert_allclose(value, formula(inputs), rtol=ERROR, atol=ERROR)
    np.testing.assert_allclose(found, slope(inputs), rtol=ERROR, atol=ERROR)


@pytest.mark.parametrize(("name", "changed", "values", "slopes"), VECTORS)
def test_values_are_those_computed_beforehand(
    name: str, changed: dict[str, Any], values: tuple[float, ...], slopes: tuple[float, float]
) -> None:
    value, slope = sloped(find(name, **changed).function, torch.tensor(NODES, dtype=torch.float64))
    assert value.tolist() == pytest.approx(values, abs=1e-6)
    assert (float(slope[1]), float(slope[4])) == pytest.approx(slopes, abs=1e-6)


def test_stages_of_lslu_follow_each_other() -> None:
    module = LSLU(3, dtype=torch.float64)
    with torch.no_grad():
        module.theta.copy_(torch.tensor([0.9, 1.1, 1.2]))
        module.omega.copy_(torch.tensor([0.1, -0.2, 0.05]))
    found = module(torch.tensor(NODES, dtype=torch.float64))
    assert found.tolist() == pytest.approx([0.05, 0.05, 0.05, 0.536, 1.13, 2.318], abs=1e-6)


@pytest.mark.parametrize("name", MOMENTS)
def test_moments_are_those_of_the_literature(name: str) -> None:
    moments = find(name).moments
    found = (moments.mean, moments.square, moments.slope_square, moments.scale_slope)
    tolerance = (1e-3, 6e-4, 6e-4, 6e-3)
    for value, known, error in zip(found, MOMENTS[name], tolerance, strict=True):
        assert value == pytest.approx(known, abs=error)


@pytest.mark.parametrize("name", GAINS)
def test_gains_are_those_of_the_literature(name: str) -> None:
    assert find(name).gain == pytest.approx(GAINS[name], abs=1.1e-3)


@pytest.mark.parametrize("name", sorted(set(FORMULAS) - {"polynomial"}))
def test_moments_agree_with_adaptive_quadrature(name: str) -> None:
    changed, formula, slope = FORMULAS[name]

    def mean(f: Any) -> float:
        def weighted(x: float) -> float:
            at = np.array([x])
            return float(f(at)[0] * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi))

        cuts = (-12.0, *KINKS, 12.0)  # kinks lie on the edges
        return sum(float(quad(weighted, a, b, limit=100)[0]) for a, b in pairwise(cuts))

    moments = find(name, **changed).moments
    square = mean(lambda x: formula(x) ** 2)
    assert moments.mean == pytest.approx(mean(formula), abs=1e-6)
    assert moments.square == pytest.approx(square, rel=1e-6)
    assert moments.slope_square == pytest.approx(mean(lambda x: slope(x) ** 2), rel=1e-6)
    slopes = mean(lambda x: formula(x) * slope(x) * x)
    assert moments.scale_slope == pytest.approx(slopes / square, abs=1e-6)


def test_moments_of_whole_layers_agree_with_sampling() -> None:
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(200_000, 8, generator=rng, dtype=torch.float64)
    for name, changed in (("maxout", {"pieces": 4}), ("maxout", {}), ("swiglu", {})):
        activation = find(name, **changed)
        out = activation.function(z[:, : 2 * activation.inputs])
        assert activation.moments.mean == pytest.approx(float(out.mean()), abs=0.01)
        assert activation.moments.square == pytest.approx(float(out.square().mean()), rel=0.02)


def test_a_deep_network_keeps_its_scale_under_the_gain() -> None:
    rng = torch.Generator().manual_seed(0)
    for name in ("tanh", "elu", "swim", "softplus", "prelu"):
        activation = find(name)
        z = x = torch.randn(64, 256, generator=rng)
        for layer in range(12):
            gain = activation.gain if layer else 1.0
            weight = torch.randn(256, 256, generator=rng) * gain / 16
            z = x @ weight
            x = activation.function(z)
        assert 0.5 < float(z.square().mean()) < 2, name


SHAPES: dict[str, tuple[tuple[float, float], float | None, tuple[tuple[float, float], ...]]] = {
    "sigmoid": ((0, 1), None, ((-np.inf, -4.36), (4.36, np.inf))),
    "tanh": ((-1, 1), None, ((-np.inf, -2.18), (2.18, np.inf))),
    "relu": ((0, np.inf), None, ((-np.inf, 0),)),
    "elu": ((-1, np.inf), None, ((-np.inf, -3.0),)),
    "selu": ((-1.758, np.inf), None, ((-np.inf, -3.0),)),
    "silu": ((-0.2785, np.inf), -1.278, ((-np.inf, -3.93),)),
    "gelu": ((-0.170, np.inf), -0.752, ((-np.inf, -2.28),)),
    "mish": ((-0.3088, np.inf), -1.192, ((-np.inf, -3.98),)),
    "ulu": ((-0.1392, np.inf), -0.639, ((-np.inf, -1.96),)),
    "xielu": ((-0.2058, np.inf), -0.981, ()),
    "xiprelu": ((-0.078, np.inf), -0.3125, ()),
    "xatlu": ((-1 / np.pi, np.inf), None, ((-np.inf, -1.36),)),
    "swim": ((-np.inf, np.inf), None, ()),
    "prelu": ((-np.inf, np.inf), None, ()),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_are_those_of_the_literature(name: str) -> None:
    values, lowest, flat = SHAPES[name]
    shape = shape_of(find(name))
    assert shape.values == pytest.approx(values, abs=5e-4)
    assert shape.lowest_at == (None if lowest is None else pytest.approx(lowest, abs=2e-3))
    assert len(shape.flat) == len(flat)
    for found, known in zip(shape.flat, flat, strict=True):
        assert found == pytest.approx(known, abs=0.06)


def test_a_domain_bounds_what_is_looked_at() -> None:
    moments = gaussian(torch.relu, (0.0, 12.0))
    assert moments.square == pytest.approx(0.5)
    low, high = shape_of(find("pann", precision=7, bound=2.0)).values
    assert -0.02 < low < 0
    assert high == pytest.approx(2, abs=0.02)


def test_names_are_read_with_goodwill() -> None:
    for said, name in (
        ("ReLU", "relu"),
        ("Leaky-ReLU", "leaky_relu"),
        ("LeakyReLU", "leaky_relu"),
        ("ReLU squared", "relu_squared"),
        ("relu2", "relu_squared"),
        (" SwiGLU ", "swiglu"),
    ):
        assert find(said).name == name


def test_an_unknown_activation_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as error:
        find("gello")
    assert str(error.value) == "no activation is called 'gello'; did you mean 'gelu'?"


def test_unknown_settings_and_values_out_of_range_are_refused() -> None:
    with pytest.raises(SettingError, match="elu has no setting 'alfa'; did you mean 'alpha'"):
        find("elu", alfa=1)
    with pytest.raises(SettingError, match=r"xsilu.alpha takes numbers of at least|from -0.5"):
        find("xsilu", alpha=-0.6)
    with pytest.raises(SettingError, match="elu has no parameter 'beta'; known: alpha"):
        find("elu").function(torch.ones(1), beta=2.0)


def test_parameters_may_be_tensors_that_broadcast() -> None:
    x = torch.linspace(-2, 2, 12).reshape(3, 4)
    slopes = torch.tensor([0.0, 0.1, 0.2, 0.3], requires_grad=True)
    y = find("prelu").function(x, slope=slopes)
    torch.testing.assert_close(y, torch.nn.functional.prelu(x, slopes))
    y.sum().backward()
    assert slopes.grad is not None
    torch.testing.assert_close(slopes.grad, x.clamp(max=0).sum(0))
