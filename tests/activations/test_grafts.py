"""Replacing one activation by another: exactly, or as near as its inputs allow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dnnrepair.activations import Wrap, activations, exact, find, fit, wrapped
from dnnrepair.activations.ensemble import EnsembleActivation
from dnnrepair.activations.fit import MOST, spaced
from dnnrepair.activations.taaf import Taaf
from dnnrepair.errors import DataError, SettingError, UnknownNameError

EXACT = {  # Table 2C of the catalog
    "relu": "leaky_relu prelu rrelu elu maxout lslu series taaf ensemble",
    "leaky_relu": "prelu maxout taaf",
    "sigmoid": "tanh taaf",
    "tanh": "sigmoid taaf",
    "silu": "swish ulu aulu xsilu swiglu taaf",
    "swish": "ulu silu",
    "gelu": "xgelu ensemble",
    "taaf": "ensemble",
    "selu": "elu",
}
PAIRS = [(old, new) for old in activations for new in activations if exact(find(old), new)]


def test_the_known_ones_are_there() -> None:
    assert {(old, new) for old, names in EXACT.items() for new in names.split()} <= set(PAIRS)


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_an_exact_graft_changes_nothing(old: str, new: str) -> None:
    activation = find(old)
    graft = exact(activation, new)
    assert graft is not None
    assert len(graft.pieces) == graft.activation.inputs or old == new
    rng = torch.Generator().manual_seed(0)
    z = 3 * torch.randn(500, 2 * activation.inputs, generator=rng, dtype=torch.float64)
    if old == new:
        return
    z = z.clamp(*activation.domain)
    error = (graft.apply(z) - activation.function(z)).abs().max()
    assert float(error) <= 4e-15 * max(1.0, float(z.abs().max()))


@settings(max_examples=25)
@given(slope=st.floats(0, 1), new=st.sampled_from(["prelu", "rrelu", "maxout"]))
def test_any_slope_is_kept(slope: float, new: str) -> None:
    old = find("leaky_relu", negative_slope=slope)
    graft = exact(old, new)
    assert graft is not None
    z = torch.linspace(-5, 5, 100, dtype=torch.float64)[:, None]
    torch.testing.assert_close(graft.apply(z), old.function(z), rtol=1e-15, atol=1e-14)


def test_where_there_is_no_exact_graft_none_is_given() -> None:
    assert exact(find("relu"), "gelu") is None
    assert exact(find("gelu", approximate="tanh"), "xgelu") is None
    assert exact(find("leaky_relu", negative_slope=2.0 - 1.5), "elu") is None
    assert exact(find("maxout"), "taaf") is None
    with pytest.raises(UnknownNameError, match="did you mean 'prelu'"):
        exact(find("relu"), "preluu")


def test_an_ensemble_begins_as_what_it_replaces_and_all_its_members_can_learn() -> None:
    graft = exact(find("leaky_relu", negative_slope=0.3), "ensemble")
    assert graft is not None
    module = graft.activation.module(3, torch.float64)
    z = torch.randn(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.equal(module(z), torch.nn.functional.leaky_relu(z, 0.3))
    module(z).square().sum().backward()
    grad = module.get_parameter("weight").grad
    assert grad is not None
    assert grad.shape == (4, 3)
    assert grad.abs().min() > 0


def test_an_ensemble_is_of_use_where_all_its_members_are() -> None:
    assert find("ensemble", others="polynomial").domain == (-4, 4)
    assert [m.name for m in EnsembleActivation(others="gelu").members] == ["relu", "gelu"]
    with pytest.raises(UnknownNameError, match="did you mean 'gelu'"):
        find("ensemble", others="tanh+gello")
    with pytest.raises(SettingError, match="an ensemble cannot hold maxout, which takes 2 inputs"):
        find("ensemble", others="maxout")


def test_dead_units_get_a_gradient_on_the_slope_of_their_prelu() -> None:
    graft = exact(find("relu"), "prelu")
    assert graft is not None
    module = graft.activation.module(3)
    z = -torch.rand(10, 3, generator=torch.Generator().manual_seed(0))
    out = module(z)
    assert not out.any()
    out.sum().backward()
    (slope,) = module.parameters()
    torch.testing.assert_close(slope.grad, z.sum(0))


def inputs(scale: float = 1.0) -> torch.Tensor:
    quantiles = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    z: torch.Tensor = scale * torch.special.ndtri(quantiles)
    return z


PLANTED = Wrap(alpha=0.7, beta=1.3, gamma=-0.4, delta=0.2)


@pytest.mark.parametrize("name", ["tanh", "gelu", "softplus", "elu"])
def test_planted_numbers_are_found_again(name: str) -> None:
    new = find(name)
    found = fit(wrapped(new, PLANTED), new, inputs())
    assert found.error < 1e-5
    assert found.largest < 1e-3


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("relu", "sigmoid", 0.0741),
        ("relu", "tanh", 0.0741),
        ("sigmoid", "relu", 0.0217),
        ("tanh", "relu", 0.1378),
        ("sigmoid", "swim", 0.0203),
        ("relu", "relu_squared", 0.0969),
        ("sigmoid", "tanh", 0.0),
    ],
)
def test_errors_are_those_of_the_literature(old: str, new: str, error: float) -> None:
    found = fit(find(old), find(new), inputs())
    assert found.error == pytest.approx(error, abs=0.002)


def test_a_fit_is_better_than_a_line_and_than_any_point_nearby() -> None:
    z, old, new = inputs(2.0), find("relu"), find("gelu")
    found = fit(old, new, z)
    target = old.function(z)
    line = np.polyfit(z.numpy(), target.numpy(), 1)
    assert found.error < float(np.std(target.numpy() - np.polyval(line, z.numpy())))
    for changed in (
        Wrap(found.wrap.alpha * 1.01, found.wrap.beta, found.wrap.gamma, found.wrap.delta),
        Wrap(found.wrap.alpha, found.wrap.beta, found.wrap.gamma, found.wrap.delta + 0.01),
        Wrap(found.wrap.alpha, found.wrap.beta, found.wrap.gamma + 0.05, found.wrap.delta),
    ):
        error = float((changed.apply(new, z) - target).square().mean().sqrt())
        assert error >= found.error * (1 - 1e-3)


def test_a_fit_does_not_copy_the_kink() -> None:
    for scale in (0.5, 1.0, 4.0):
        z = inputs(scale)
        found = fit(find("relu"), find("softplus"), z)
        assert 0 < found.wrap.beta <= 3 / float(z.std()) * (1 + 1e-6)


@pytest.mark.parametrize("count", [MOST + 1, 2**24 + 4, 31_360_000, 2**40])
def test_samples_of_many_values_keep_within_them(count: int) -> None:
    places = spaced(count)
    assert (int(places[0]), int(places[-1])) == (0, count - 1)
    assert (places.diff() >= 0).all()


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(DataError, match="all pre-activations are 2: nothing can be fitted"):
        fit(find("relu"), find("gelu"), torch.full((10,), 2.0))
    with pytest.raises(DataError, match="not all finite or none"):
        fit(find("relu"), find("gelu"), torch.tensor([1.0, torch.nan]))
    with pytest.raises(DataError, match="not all finite or none"):
        fit(find("relu"), find("gelu"), torch.empty(0))
    with pytest.raises(SettingError, match="maxout takes 2 inputs for each output"):
        fit(find("relu"), find("maxout"), inputs())


def test_a_wrap_is_an_activation_of_its_own() -> None:
    assert wrapped(find("relu"), Wrap()) == find("relu")
    made = wrapped(find("gelu"), PLANTED)
    assert isinstance(made, Taaf)
    z = inputs()
    torch.testing.assert_close(made.function(z), PLANTED.apply(find("gelu"), z))
    module = made.module(None, torch.float64)
    torch.testing.assert_close(module(z), made.function(z))
