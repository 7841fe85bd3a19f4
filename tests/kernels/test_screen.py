"""The screen decides as exact scoring does and reports nothing but exact fitness."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dnnrepair.errors import SettingError
from dnnrepair.kernels import screened


def exact(values: Tensor) -> Tensor:
    return (values * torch.tensor([1.0, -0.5, 2.0])).sum(dim=1).double()


def rounded(values: Tensor) -> Tensor:
    """Score in bfloat16: eight bits of a product."""
    return exact(values.bfloat16().float()).bfloat16().float()


def drawn(seed: int, count: int) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    values = torch.randn(count, 3, generator=rng)
    parents = exact(values) + 0.02 * torch.randn(count, generator=rng)
    return values, parents


@given(st.integers(0, 2**20), st.integers(1, 60))
def test_who_survives_is_who_survives_exact_scoring(seed: int, count: int) -> None:
    values, parents = drawn(seed, count)
    slack = float((exact(values) - rounded(values)).abs().max())
    found = screened(rounded, exact, parents, slack)(values)
    wanted = exact(values)
    assert torch.equal(found >= parents, wanted >= parents)
    scored = found > -torch.inf
    assert torch.equal(found[scored], wanted[scored])


def test_a_slack_below_the_error_would_decide_otherwise() -> None:
    values, parents = drawn(0, 500)
    found = screened(rounded, exact, parents, 0.0)(values)
    assert (exact(values) >= parents).sum() > (found >= parents).sum()


@given(st.integers(0, 2**20))
def test_only_what_cannot_pass_is_left_out(seed: int) -> None:
    values, parents = drawn(seed, 40)
    seen: list[Tensor] = []

    def counted(some: Tensor) -> Tensor:
        seen.append(some)
        return exact(some)

    screen = screened(rounded, counted, parents, 0.01)
    screen(values)
    alive = rounded(values) + 0.01 >= parents
    assert torch.equal(screen.survivors(values), alive)
    assert torch.equal(torch.cat([values[:0], *seen]), values[alive])


def test_thresholds_are_read_at_each_call() -> None:
    parents = torch.tensor([-10.0])
    screen = screened(exact, exact, lambda: parents, 0.0)
    values = torch.ones(1, 3)
    assert screen(values).item() == 2.5
    parents.fill_(3.0)
    assert screen(values).item() == -torch.inf


def test_nan_rejects_nothing() -> None:
    def broken(values: Tensor) -> Tensor:
        return torch.full((len(values),), torch.nan)

    values = torch.ones(2, 3)
    parents = torch.tensor([torch.nan, -torch.inf])
    assert screened(broken, exact, torch.zeros(2), 0.0)(values).tolist() == [2.5, 2.5]
    assert screened(exact, exact, parents, 0.0)(values).tolist() == [2.5, 2.5]


@pytest.mark.parametrize("slack", [-1e-9, float("nan")])
def test_a_negative_slack_is_refused(slack: float) -> None:
    with pytest.raises(SettingError, match="give 0 or more"):
        screened(exact, exact, torch.zeros(1), slack)
