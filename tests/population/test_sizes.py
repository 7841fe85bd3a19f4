"""How many inputs and candidates are evaluated at a time."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dnnrepair.population.settings import EvaluatorSettings
from dnnrepair.population.sizes import LARGEST, ON_CPU, ON_DEVICE, SHARING, SMALLEST, VECTOR, Sizes

PLAIN = EvaluatorSettings()
sizes = st.sampled_from([ON_CPU, ON_DEVICE])
amounts = st.integers(1, 1 << 24)


@given(kind=sizes, per_pair=amounts, recorded=amounts, count=st.integers(1, 10**6))
def test_a_chunk_fits_and_shares_what_was_recorded(
    kind: Sizes, per_pair: int, recorded: int, count: int
) -> None:
    block, chunk = kind.choose(per_pair, recorded, count, PLAIN)
    assert 1 <= block <= min(count, LARGEST)
    assert chunk >= 1
    assert block % VECTOR == 0 or block == count
    if block > SMALLEST:
        assert chunk >= SHARING
        assert block * recorded <= kind.recorded
        assert block * chunk * per_pair <= max(kind.working_set, kind.spill)


@given(per_pair=amounts, count=st.integers(1, 10**6))
def test_a_device_takes_more_at_a_time(per_pair: int, count: int) -> None:
    ours, theirs = (kind.choose(per_pair, 1, count, PLAIN) for kind in (ON_CPU, ON_DEVICE))
    assert theirs[0] >= ours[0]
    assert theirs[0] * theirs[1] >= ours[0] * ours[1] - ours[0]


@pytest.mark.parametrize(
    ("kind", "per_pair", "recorded", "found"),
    [
        (ON_CPU, 40, 80, (2000, 65)),  # a patched head: as many as fit into the cache
        (ON_CPU, 784 * 4, 60_000, (208, 8)),  # of channels, one at a time
        (ON_CPU, 64 * 1024, 90_000, (32, 4)),  # an early layer of a ResNet
        (ON_DEVICE, 4096, 8192, (2000, 32)),  # 64,000 rows for a product of 1,024 units
    ],
)
def test_sizes_that_were_measured(
    kind: Sizes, per_pair: int, recorded: int, found: tuple[int, int]
) -> None:
    assert kind.choose(per_pair, recorded, 2000, PLAIN) == found


def test_what_the_user_chose_counts() -> None:
    chosen = EvaluatorSettings(block=7, chunk=3)
    assert ON_CPU.choose(40, 80, 2000, chosen) == (7, 3)
    block, chunk = ON_CPU.choose(4096, 1, 10**6, EvaluatorSettings(working_set=1 << 23))
    assert block * chunk * 4096 == 1 << 23


def test_a_cpu_is_told_from_a_device() -> None:
    assert Sizes.of(torch.device("cpu")) is ON_CPU
    assert Sizes.of(torch.device("cuda")) is ON_DEVICE
