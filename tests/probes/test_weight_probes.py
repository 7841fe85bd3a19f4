"""Covariance, summaries, spectra and initializer fits against plain numpy and fresh draws."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from dnnrepair.evidence.covariance import Covariance
from dnnrepair.observation import Role, TensorInfo
from dnnrepair.probe import Batch, Call
from dnnrepair.probes.covariance import CovarianceProbe
from dnnrepair.probes.initializer import InitializerProbe
from dnnrepair.probes.rows import RowProbe
from dnnrepair.probes.spectrum import SpectrumProbe
from dnnrepair.probes.summary import SummaryProbe
from dnnrepair.sites import Site


def call_of(values: Tensor, unit_dim: int) -> Call:
    site = Site(name="here", op="linear", shape=tuple(values.shape), unit_dim=unit_dim)
    return Call(site=site, arguments={}, output=values, batch=Batch(inputs=(values,)))


def info_of(value: Tensor, role: Role = Role.WEIGHT, blocks: int = 1) -> TensorInfo:
    shape = tuple(value.shape)
    return TensorInfo(
        name="w",
        layer="",
        role=role,
        shape=shape,
        fan_in=math.prod(shape[1:]),
        fan_out=math.prod(shape[:1]) * math.prod(shape[2:]),
        blocks=blocks,
    )


@given(
    cuts=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    mean=st.sampled_from([0.0, 3.0, -200.0]),
    image=st.booleans(),
    seed=st.integers(0, 99),
)
def test_streamed_covariance_equals_numpy(
    cuts: list[int], mean: float, image: bool, seed: int
) -> None:
    rng = torch.Generator().manual_seed(seed)
    values = torch.randn(sum(cuts), 5, *((3, 3) if image else ()), generator=rng) + mean
    values[:, 2] = values[:, 0] * -2
    parts = [CovarianceProbe().measure(call_of(v, 1)) for v in values.split(cuts)]
    found: Covariance = reduce(add, parts)
    rows = values.movedim(1, -1).reshape(-1, 5).double().numpy()
    assert found.rows == len(rows)
    wanted = np.cov(rows.T, bias=True) * len(rows) if len(rows) > 1 else np.zeros((5, 5))
    np.testing.assert_allclose(
        found.comoment, wanted, rtol=1e-3, atol=1e-3 * max(1, len(rows) / 99)
    )
    if len(rows) > 20 and not mean:
        shares = np.linalg.eigvalsh(wanted) / np.trace(wanted)
        assert found.top_share == pytest.approx(shares.max(), rel=1e-3)
        assert (0, 2) in found.duplicates()


def test_wide_outputs_are_sampled_evenly() -> None:
    found = CovarianceProbe().measure(call_of(torch.randn(64, 1300), -1))
    assert len(found.units) <= 512
    assert found.width == 1300
    assert found.units[-1] > 1290


@given(
    seed=st.integers(0, 99),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    blocks=st.sampled_from([1, 3, 4]),
)
def test_summaries_equal_numpy(seed: int, dtype: torch.dtype, blocks: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    value = torch.randn(12, 7, generator=rng).to(dtype)
    value[0] = 0
    found = SummaryProbe().measure_tensor(info_of(value, blocks=blocks), value)
    assert found is not None
    plain = value.double().numpy()
    assert found.norm == pytest.approx(np.linalg.norm(plain))
    assert found.zero_share == pytest.approx((plain == 0).mean())
    assert found.max_abs == pytest.approx(np.abs(plain).max())
    parts = plain.reshape(blocks, -1)
    np.testing.assert_allclose(found.stds, parts.std(axis=1), rtol=1e-6)
    np.testing.assert_allclose(found.gains, 7 * (parts**2).mean(axis=1), rtol=1e-6)
    assert found.nonfinite == 0


@given(place=st.integers(0, 83), bad=st.sampled_from([np.nan, np.inf, -np.inf]))
def test_the_first_number_that_is_not_finite_is_found(place: int, bad: float) -> None:
    value = torch.zeros(12, 7)
    value.view(-1)[place:] = bad
    found = SummaryProbe().measure_tensor(info_of(value), value)
    assert found is not None
    assert found.first == tuple(np.unravel_index(place, (12, 7)))
    assert found.nonfinite == 84 - place


@pytest.mark.parametrize(
    "value", [torch.tensor(3), torch.zeros(0, 4), torch.ones(4, dtype=torch.bool)]
)
def test_odd_tensors_do_not_break_the_probes(value: Tensor) -> None:
    info = info_of(value, Role.OTHER)
    for probe in (SummaryProbe, RowProbe, SpectrumProbe, InitializerProbe):
        probe().measure_tensor(info, value)


@pytest.mark.parametrize("shape", [(40, 20), (20, 40), (16, 4, 3, 3)])
def test_spectra_equal_singular_values(shape: tuple[int, ...]) -> None:
    value = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = SpectrumProbe().measure_tensor(info_of(value), value)
    assert found is not None
    (matrix,) = found.matrices
    squares = torch.linalg.svdvals(value.flatten(1).double()).square().numpy()
    np.testing.assert_allclose(matrix.squares / matrix.squares[0], squares / squares[0], rtol=1e-8)
    assert matrix.stable_rank == pytest.approx(squares.sum() / squares[0])
    assert matrix.squares[0] < matrix.edge * 1.02


def test_the_exponent_of_a_power_law_is_recovered() -> None:
    from dnnrepair.evidence.spectrum import Matrix

    rng = np.random.default_rng(0)
    squares = np.sort((1 - rng.random(800)) ** (-1 / 2.0))[::-1]  # density ~ x^-3
    alpha, distance = Matrix(long=800, short=800, squares=squares).power_law()
    assert alpha == pytest.approx(3.0, rel=0.15)
    assert distance < 0.1


DRAWS: dict[str, Callable[[Tensor], Any]] = {
    "kaiming_uniform": nn.init.kaiming_uniform_,
    "kaiming_normal": nn.init.kaiming_normal_,
    "torch_default_uniform": lambda w: nn.init.kaiming_uniform_(w, a=math.sqrt(5)),
    "small_normal": lambda w: nn.init.trunc_normal_(w, std=0.02),
    "xavier_tanh_normal": lambda w: nn.init.xavier_normal_(w, gain=5 / 3),
}


@pytest.mark.parametrize("name", sorted(DRAWS))
@pytest.mark.parametrize("shape", [(96, 64), (32, 16, 3, 3)])
def test_fresh_weights_are_recognized(name: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    fits = []
    for _ in range(20):
        value = torch.empty(shape)
        DRAWS[name](value)
        fits.append(InitializerProbe().measure_tensor(info_of(value), value))
    assert sum(fit is not None and fit.matches for fit in fits) >= 19
    if len(shape) == 2:
        assert sum(fit is not None and fit.nearest == name for fit in fits) >= 19


def test_trained_weights_are_not_fresh() -> None:
    torch.manual_seed(0)
    x = torch.randn(512, 64)
    y = (x[:, :8].prod(1) > 0).long()
    model = nn.Sequential(
        nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2)
    )
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    for layer in (model[0], model[2]):
        assert isinstance(layer, nn.Linear)
        fit = InitializerProbe().measure_tensor(info_of(layer.weight), layer.weight)
        assert fit is not None
        assert not fit.matches


def test_rows_are_grouped_per_gate_and_zero_rows_left_out() -> None:
    value = torch.randn(12, 6, generator=torch.Generator().manual_seed(0))
    value[5:8] = value[4]
    value[0] = 0
    found = RowProbe().measure_tensor(info_of(value, Role.RECURRENT, blocks=3), value)
    assert found is not None
    assert found.first.tolist() == [[-1, 1, 2, 3], [0, 0, 0, 0], [0, 1, 2, 3]]
    assert found.share() == 1.0
    assert found.share(np.arange(12.0)) == 0.0
