"""Spread of samples with known spread."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist

from dnnrepair.probes.generated import effective_rank, spread


def test_distances_are_scipys() -> None:
    rng = torch.Generator().manual_seed(0)
    made, real = torch.randn(60, 9, generator=rng), 3 * torch.randn(60, 9, generator=rng)
    found = spread(made.double(), real.double())
    assert found.distance == pytest.approx(np.median(pdist(made.numpy())), rel=2e-2)
    assert found.real_distance == pytest.approx(np.median(pdist(real.numpy())), rel=2e-2)
    assert found.samples == 60


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_directions_of_equal_variance_count_one_each(rank: int) -> None:
    basis, _ = torch.linalg.qr(torch.randn(400, rank).double())  # orthonormal columns
    values = basis - basis.mean(0)
    turned = values @ torch.linalg.qr(torch.randn(20, rank).double())[0].mT
    assert effective_rank(turned) == pytest.approx(rank, rel=0.02)


def test_a_constant_has_no_rank_and_nan_is_told() -> None:
    assert effective_rank(torch.ones(5, 3).double()) == 0
    assert np.isnan(effective_rank(torch.full((5, 3), torch.nan).double()))


def test_repeats_are_counted() -> None:
    rng = torch.Generator().manual_seed(1)
    real = torch.randn(100, 6, generator=rng).double()
    made = torch.randn(100, 6, generator=rng).double()
    made[:40] = made[0]
    assert spread(made, real).repeats == pytest.approx(0.4)
    assert spread(real, real).repeats == 0
