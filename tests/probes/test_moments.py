"""Streamed moments and activity against numpy over the whole data at once."""

from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from dnnrepair.evidence.moments import Moments
from dnnrepair.probe import Batch, Call
from dnnrepair.probes.activity import SHAPES, ActivityProbe
from dnnrepair.probes.moments import MomentsProbe
from dnnrepair.sites import Site

LAYOUTS = {"image": ((3, 4, 4), 1), "tokens": ((5, 3), -1), "flat": ((3,), -1)}


def call_of(values: Tensor, unit_dim: int, op: str = "linear", mask: Tensor | None = None) -> Call:
    site = Site(name="here", op=op, shape=tuple(values.shape), unit_dim=unit_dim)
    batch = Batch(inputs=(values,), mask=mask)
    return Call(site=site, arguments={"input": values}, output=values, batch=batch)


@given(
    layout=st.sampled_from(sorted(LAYOUTS)),
    cuts=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    mean=st.sampled_from([0.0, 5.0, -300.0]),
    seed=st.integers(0, 99),
)
def test_streamed_moments_equal_numpy(layout: str, cuts: list[int], mean: float, seed: int) -> None:
    shape, unit_dim = LAYOUTS[layout]
    values = torch.randn(sum(cuts), *shape, generator=torch.Generator().manual_seed(seed)) + mean
    parts = [MomentsProbe().measure(call_of(v, unit_dim)) for v in values.split(cuts)]
    found: Moments = reduce(add, parts)
    rows = values.movedim(unit_dim, -1).reshape(-1, 3).double().numpy()
    assert found.count == len(rows)
    np.testing.assert_allclose(found.mean, rows.mean(0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.std, rows.std(0), rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(found.low, rows.min(0))
    np.testing.assert_array_equal(found.high, rows.max(0))
    np.testing.assert_allclose(found.pooled_std, rows.std(), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found.rms, np.sqrt((rows**2).mean()), rtol=1e-4, atol=1e-5)


def test_padding_is_left_out() -> None:
    values = torch.randn(2, 3, 4)
    mask = torch.tensor([[True, True, False], [True, False, False]])
    found = MomentsProbe().measure(call_of(values, -1, mask=mask))
    assert found.count == 3
    np.testing.assert_allclose(found.mean, values[mask].mean(0).numpy(), rtol=1e-5)
    swapped = MomentsProbe().measure(call_of(values.transpose(0, 1).contiguous(), -1, mask=mask))
    np.testing.assert_allclose(swapped.mean, found.mean, rtol=1e-5)


def test_non_finite_values_are_counted() -> None:
    values = torch.randn(4, 3)
    values[1, 2], values[3, 0] = torch.nan, torch.inf
    assert MomentsProbe().measure(call_of(values, -1)).nonfinite == 2


@pytest.mark.parametrize("op", sorted(SHAPES))
@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_activity_counts_and_slopes(op: str, layout: str) -> None:
    shape, unit_dim = LAYOUTS[layout]
    values = torch.randn(40, *shape, generator=torch.Generator().manual_seed(1)) * 4
    found = ActivityProbe().measure(call_of(values, unit_dim, op))
    rows = values.movedim(unit_dim, -1).reshape(-1, 3)
    assert found.count == len(rows)
    np.testing.assert_array_equal(found.positive, (rows > 0).sum(0))
    z = rows.double().requires_grad_()
    SHAPES[op].function(z).sum().backward()
    assert z.grad is not None
    slopes = z.grad.square().sum(0).numpy()
    np.testing.assert_allclose(found.slope_square, slopes, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("op", ["sigmoid", "tanh", "hardsigmoid", "hardtanh", "relu6"])
def test_flat_means_a_slope_below_five_percent(op: str) -> None:
    z = torch.linspace(-9, 9, 4001).double().requires_grad_()
    SHAPES[op].function(z).sum().backward()
    assert z.grad is not None
    flat = (z.grad < 0.05 * z.grad.max()).numpy()
    shape = SHAPES[op]
    said = (z < shape.low) | (z > shape.high)
    assert np.mean(flat != said.detach().numpy()) < 2e-3


def test_prelu_and_leaky_use_their_own_slope() -> None:
    site = Site(name="a", op="leaky_relu", shape=(8, 2), settings={"negative_slope": 0.5})
    values = -torch.ones(8, 2)
    call = Call(
        site=site, arguments={"input": values}, output=values, batch=Batch(inputs=(values,))
    )
    found = ActivityProbe().measure(call)
    np.testing.assert_allclose(found.slope_square, 8 * 0.25)
    torch.testing.assert_close(F.leaky_relu(values, 0.5), values * 0.5)
