"""Mathematics from correctly rounded operations, against scipy."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from dnnrepair.evolve.rounded import cauchy_quantile, log, normal_quantile, total

CHANCES = st.floats(2.0**-53, 1 - 2.0**-53)


@given(st.lists(st.floats(1e-300, 1e300), min_size=1))
def test_the_logarithm_is_that_of_numpy(numbers: list[float]) -> None:
    found = log(torch.tensor(numbers, dtype=torch.float64)).numpy()
    np.testing.assert_allclose(found, np.log(numbers), rtol=1e-14, atol=1e-15)


@given(st.lists(CHANCES, min_size=1))
def test_the_normal_quantile_is_that_of_scipy(chances: list[float]) -> None:
    found = normal_quantile(torch.tensor(chances, dtype=torch.float64)).numpy()
    np.testing.assert_allclose(found, special.ndtri(chances), rtol=1e-13, atol=1e-15)


@given(st.lists(CHANCES.filter(lambda p: abs(p - 0.5) > 1e-9), min_size=1))
def test_the_cauchy_quantile_is_a_tangent(chances: list[float]) -> None:
    found = cauchy_quantile(torch.tensor(chances, dtype=torch.float64)).numpy()
    turn = np.array(chances) - 0.5
    wanted = np.copysign(1 / np.tan(np.pi * (0.5 - np.abs(turn))), turn)
    np.testing.assert_allclose(found, wanted, rtol=1e-7)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=300))
def test_a_total_does_not_depend_on_the_order(shares: list[float]) -> None:
    rows = torch.tensor([shares, shares[::-1], sorted(shares)], dtype=torch.float64)
    found = total(rows)
    assert len(set(found.tolist())) == 1
    np.testing.assert_allclose(found[0] / 2**40, sum(shares), atol=len(shares) * 2.0**-40)
