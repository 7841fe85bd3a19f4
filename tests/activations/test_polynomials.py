"""Polynomials in place of activations, against numpy, and against published precisions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dnnrepair.activations import find
from dnnrepair.activations.approximating import approximate, composite, outside
from dnnrepair.activations.polynomials import DEGREES, composite_sign, minimax, relu_error
from dnnrepair.errors import DataError, SettingError


def inputs() -> torch.Tensor:
    return torch.randn(3000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("precision", [4, 6, 7, 9, 13])
def test_composites_reach_their_precision(precision: int) -> None:
    reached = -math.log2(relu_error(composite_sign(DEGREES[precision])))
    assert precision <= reached < precision + 1


def test_composites_are_those_computed_beforehand() -> None:
    x = torch.tensor([0.3, -0.3], dtype=torch.float64)
    found = find("pann", precision=7, bound=1.0).function(x)
    assert found.tolist() == pytest.approx([0.297802, -0.002198], abs=2e-5)
    first, second = composite_sign((7, 7))
    assert first.coefficients == pytest.approx(
        [1.27297512, -0.4239938, 0.2554276, -0.5050897], abs=2e-3
    )
    assert second.span == pytest.approx(1.400694965, abs=2e-3)


def test_the_error_holds_within_the_bound_and_explodes_outside() -> None:
    activation = find("pann", precision=9, bound=4.0)
    x = torch.linspace(-4, 4, 20_001, dtype=torch.float64)
    assert float((activation.function(x) - x.relu()).abs().max()) <= 4.0 * 2**-9
    assert abs(float(activation.function(torch.tensor(4.4, dtype=torch.float64)))) > 1e6


def test_minimax_equioscillates() -> None:
    degree = 5
    found = minimax(np.exp, degree, -1.0, 1.0)
    x = np.linspace(-1, 1, 4001)
    error = np.exp(x) - np.polynomial.chebyshev.chebval(x, found)
    largest = np.abs(error).max()
    signs = np.sign(error[np.abs(error) > 0.98 * largest])
    assert 1 + int((np.diff(signs) != 0).sum()) == degree + 2  # Chebyshev's theorem
    assert largest == pytest.approx(4.52e-5, rel=0.02)  # 1 / (2^5 6!), to first order


def test_least_squares_is_what_numpy_fits() -> None:
    z, old = inputs(), find("silu")
    found = approximate(old, z, degree=4)
    known = np.polyfit(z.numpy(), old.function(z).numpy(), 4)
    np.testing.assert_allclose(
        found.activation.function(z).numpy(), np.polyval(known, z.numpy()), atol=1e-9
    )


@pytest.mark.parametrize("name", ["relu", "gelu", "tanh"])
def test_each_norm_is_best_at_what_it_is_for(name: str) -> None:
    z, old = inputs(), find(name)
    squares = approximate(old, z, degree=6)
    largest = approximate(old, z, degree=6, norm="minimax")
    assert squares.error <= largest.error
    low, high = largest.activation.domain
    x = torch.linspace(low, high, 2001, dtype=torch.float64)
    worst = [
        float((a.activation.function(x) - old.function(x)).abs().max()) for a in (squares, largest)
    ]
    assert worst[1] <= worst[0]
    assert approximate(old, z, degree=12).error < squares.error


def test_the_range_is_wider_than_what_was_seen() -> None:
    z = inputs()
    found = composite(z, precision=6)
    bound = 1.2 * float(z.abs().max())
    assert found.activation.domain == pytest.approx((-bound, bound))
    assert found.largest <= bound * 2**-6
    assert not outside(found.activation, z).any()
    assert torch.equal(outside(found.activation, 10 * z), 10 * z.abs() > bound)
    assert outside(found.activation, torch.tensor([torch.nan, 0.0])).tolist() == [True, False]
    low, high = approximate(find("gelu"), z, degree=3).activation.domain
    assert low < float(z.min())
    assert high > float(z.max())


def test_what_cannot_be_is_refused() -> None:
    z = inputs()
    with pytest.raises(SettingError, match="degree takes numbers from 1 to 63, not 0"):
        approximate(find("relu"), z, degree=0)
    with pytest.raises(SettingError, match="norm takes least-squares or minimax, not 'L3'"):
        approximate(find("relu"), z, degree=2, norm="L3")
    with pytest.raises(SettingError, match="precision takes numbers from 4 to 13, not 20"):
        composite(z, precision=20)
    with pytest.raises(DataError, match="nothing can be fitted"):
        approximate(find("relu"), torch.zeros(5), degree=2)
