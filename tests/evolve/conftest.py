"""Functions to be maximized, whose value at a point does not depend on the points beside it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch

from dnnrepair.evolve.box import Box
from dnnrepair.evolve.rand1bin import Rand1Bin
from dnnrepair.evolve.shade import Shade

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from dnnrepair.evolve.strategy import Strategy

STRATEGIES = {"rand1bin": Rand1Bin, "shade": Shade}


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=sorted(STRATEGIES))
def kind(request: pytest.FixtureRequest) -> Callable[..., Strategy]:
    found: Callable[..., Strategy] = STRATEGIES[request.param]
    return found


@pytest.fixture(scope="session")
def sphere() -> Callable[[Tensor], Tensor]:
    def fitness(values: Tensor) -> Tensor:
        return -sum(((x - 0.5) * (x - 0.5) for x in values.double().unbind(-1)), torch.zeros(()))

    return fitness


@pytest.fixture(scope="session")
def rastrigin() -> Callable[[Tensor], Tensor]:
    def fitness(values: Tensor) -> Tensor:
        waves = values * values - 10 * torch.cos(2 * math.pi * values) + 10
        return -waves.sum(dim=-1)

    return fitness


@pytest.fixture(scope="session")
def cube() -> Callable[..., Box]:
    def make(weights: int, dtype: torch.dtype = torch.float64, side: float = 5.0) -> Box:
        bound = torch.full((weights,), side, dtype=dtype)
        return Box(-bound, bound)

    return make
