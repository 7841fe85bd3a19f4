"""Fractional max pools against torch's own, and where they cannot be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dnnrepair.errors import SettingError
from dnnrepair.subject import Subject, subject_of
from dnnrepair.swap_report import Promise
from tests.swapping.small import answer, applied, inputs_of, jolted, network, rng


def pooling(side: int, *layers: nn.Module, **settings: Any) -> Subject:
    """Return a network that pools images once."""
    chain = [nn.Conv2d(1, 4, 3, padding=1), nn.MaxPool2d(2, **settings), *layers]
    x = torch.randn(32, 1, side, side, generator=rng())
    return subject_of(jolted(nn.Sequential(*chain)), (x, torch.arange(32) % 3))


def end() -> tuple[nn.Module, ...]:
    return nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)


def test_fractional_pooling_by_half_is_max_pooling_whatever_is_drawn() -> None:
    before = pooling(8, *end())
    found = applied(before, "fractional-pool")
    (swap,) = found.swaps
    assert swap.promise is Promise.EXACT
    x = inputs_of(before)
    module = found.module
    for seed in range(5):
        torch.manual_seed(seed)
        with torch.no_grad():
            assert torch.equal(module.train(bool(seed % 2))(x), answer(before, x))
    assert {site.op for site in found.subject.running.sites} >= {"fractional_max_pool2d"}
    twin = nn.FractionalMaxPool2d(2, output_ratio=0.5)
    assert torch.equal(twin(x), F.max_pool2d(x, 2))


def test_fractional_pooling_by_another_ratio_is_torchs_own_and_says_what_it_changes() -> None:
    before = pooling(9, *end())
    found = applied(before, "fractional-pool", ratio=0.75)
    (swap,) = found.swaps
    assert swap.promise is Promise.CHANGES
    assert "drawn at random, in evaluation too" in swap.reason
    assert swap.difference is not None
    assert swap.difference.relative > 1e-3
    x = inputs_of(before)
    module = found.module
    with torch.no_grad():
        torch.manual_seed(3)
        got = module(x)
        assert not torch.equal(module(x), got)
        torch.manual_seed(3)
        drawn = torch.rand(32, 4, 2)
        z = F.conv2d(x, before.tensors["0.weight"], before.tensors["0.bias"], padding=1)
        pooled = F.fractional_max_pool2d(z, 2, output_size=(6, 6), _random_samples=drawn)
        means = F.adaptive_avg_pool2d(pooled, 2).flatten(1)
        expected = F.linear(means, before.tensors["4.weight"], before.tensors["4.bias"])
    torch.testing.assert_close(got, expected)


def test_a_pool_behind_another_counts_from_the_size_that_it_reads_now() -> None:
    again = nn.Conv2d(4, 4, 3, padding=1), nn.MaxPool2d(2)
    found = applied(pooling(20, *again, *end()), "fractional-pool", ratio=0.7)
    pools = [s for s in found.subject.running.sites if s.op == "fractional_max_pool2d"]
    assert [pool.shape[2:] for pool in pools] == [(14, 14), (9, 9)]


@pytest.mark.parametrize(
    ("made", "ratio", "reason"),
    [
        (
            lambda: pooling(9, *end()),
            0.5,
            "0: 9 x 9 is not even, so that regions would be drawn at random",
        ),
        (
            lambda: pooling(8, *end(), stride=1),
            0.5,
            "0: only pools of 2 x 2 that do not overlap can",
        ),
        (
            lambda: pooling(9, *end(), ceil_mode=True),
            0.7,
            "0: its pool rounds up or reads no batch",
        ),
        (
            lambda: pooling(8, nn.Flatten(), nn.Linear(64, 3)),
            0.7,
            "what follows takes no images of 5 x 5",
        ),
        (lambda: pooling(8, *end()), 1.0, r"fractional pooling takes a ratio in \[0.5, 1\), not 1"),
        (lambda: network([nn.Linear(6, 3)]), 0.5, "this network has no max pools of images"),
    ],
)
def test_pools_that_cannot_be_fractional_say_why(
    made: Callable[[], Subject], ratio: float, reason: str
) -> None:
    with pytest.raises(SettingError, match=reason):
        applied(made(), "fractional-pool", ratio=ratio)
