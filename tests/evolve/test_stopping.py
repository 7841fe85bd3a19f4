"""When a search has searched enough."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dnnrepair.errors import SettingError
from dnnrepair.evolve.rand1bin import Rand1Bin
from dnnrepair.evolve.stopping import Stopping

if TYPE_CHECKING:
    from collections.abc import Callable

    from dnnrepair.evolve.box import Box
    from dnnrepair.evolve.state import State


@pytest.fixture
def state(cube: Callable[..., Box]) -> State:
    fresh = Rand1Bin(candidates=4).init([1, 2, 3], cube(1))
    return replace(
        fresh,
        stale=torch.tensor([10, 11, 12]),
        best_fitness=torch.tensor([5.0, 4.0, -math.inf], dtype=torch.float64),
    )


@given(st.integers(0, 2000), st.integers(0, 300))
def test_the_rule_is_that_of_arachnes_code(generations: int, stale: int) -> None:
    patience = Stopping.arachne(generations).patience
    assert patience is not None
    assert (stale > patience) == (stale > max(10, generations / 10))


def test_each_search_ends_by_its_own_rule(state: State) -> None:
    rule = Stopping.arachne()
    assert rule.ended(state).tolist() == [False, True, True]
    assert rule.reasons(state, "generations") == ("generations", "patience", "patience")
    rule = Stopping(patience=11, target=4.5)
    assert rule.ended(state).tolist() == [True, False, True]
    assert rule.reasons(state, "seconds") == ("target", "seconds", "patience")
    assert not Stopping().ended(state).any()


@pytest.mark.parametrize(
    "settings",
    [{"generations": -1}, {"patience": -1}, {"seconds": math.nan}, {"target": math.nan}],
)
def test_what_is_never_reached_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="set a number"):
        Stopping(**settings)
