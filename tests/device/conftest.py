"""The device that these tests run on: CUDA where there is one, an emulated one where asked for.

``pytest tests/device --device emulated`` is a run of its own: torch starts the threads of all
devices with the first gradient, and every later test would see the device, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from dnnrepair.backends import full_precision
from tests.device import emulated

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_configure(config: pytest.Config) -> None:
    """Add the emulated device before anything computes a gradient."""
    if config.getoption("--device") == emulated.NAME:
        emulated.start(config.cache.mkdir(emulated.NAME))


@pytest.fixture(autouse=True)
def _all_digits() -> Iterator[None]:
    """Compare with the CPU without what TF32 rounds away."""
    with full_precision():
        yield


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> torch.device:
    """Return a device other than the CPU."""
    if request.config.getoption("--device") == emulated.NAME:
        return torch.device(emulated.NAME, 0)
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device, or --device emulated")
    return torch.device("cuda", torch.cuda.current_device())
