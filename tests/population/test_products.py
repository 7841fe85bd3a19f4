"""Products through either library are the same products, wherever a candidate's inputs stand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dnnrepair.population.operations.products import CONVOLVED, FEATURES, linear, product

DTYPES = st.sampled_from([torch.float32, torch.float64])
NUMBERS = st.tuples(
    st.integers(1, 40), st.integers(1, CONVOLVED.start + 30), st.integers(0, 70), DTYPES
)


def _drawn(*shape: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


def _close(found: Tensor, expected: Tensor, dtype: torch.dtype) -> None:
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


@given(numbers=NUMBERS, biased=st.booleans())
def test_rows(numbers: tuple[int, int, int, torch.dtype], biased: bool) -> None:
    units, features, n, dtype = numbers
    rows = _drawn(2, n, features, dtype=dtype)
    weight = _drawn(units, features, dtype=dtype)
    bias = _drawn(units, dtype=dtype) if biased else None
    expected = rows.double() @ weight.double().t() + (0 if bias is None else bias.double())
    _close(linear(rows, weight, bias), expected, dtype)
    flat = rows.movedim(-1, 0).contiguous().movedim(0, -1)  # features first in memory
    _close(linear(flat, weight, bias), expected, dtype)


@given(numbers=NUMBERS, strided=st.booleans())
def test_columns(numbers: tuple[int, int, int, torch.dtype], strided: bool) -> None:
    units, features, m, dtype = numbers
    weight = _drawn(units, features, dtype=dtype)
    columns = (
        _drawn(features, 2 * m, dtype=dtype)[:, ::2]
        if strided
        else _drawn(features, m, dtype=dtype)
    )
    found = product(weight, columns)
    assert found.is_contiguous()
    _close(found, weight.double() @ columns.double(), dtype)


@pytest.mark.parametrize(
    "features", [FEATURES.start, 64, FEATURES.stop - 1, CONVOLVED.start, 784, CONVOLVED.stop - 1]
)
@pytest.mark.parametrize("size", [16, 48, 512])
def test_a_block_has_the_same_bits_among_others(features: int, size: int) -> None:
    weight = _drawn(256, features, dtype=torch.float32)
    columns = _drawn(features, 2048, dtype=torch.float32)
    alone = product(weight, columns[:, :size].contiguous())
    assert torch.equal(alone, product(weight, columns)[:, :size])
    assert torch.equal(
        linear(columns.t().contiguous()[:size], weight),
        linear(columns.t().contiguous(), weight)[:size],
    )
