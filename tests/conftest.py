"""What every test relies on: one thread, reproducible examples, no traces outside tmp_path."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: several workers share the cores

settings.register_profile(
    "dnnrepair",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("dnnrepair")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the tests of a device run where there is none."""
    parser.addoption(
        "--device",
        choices=("cuda", "emulated"),
        default="cuda",
        help="for tests/device; the emulated one needs g++, and a run of its own",
    )


@pytest.fixture(autouse=True, scope="session")
def _quiet_surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's settings out, and caches of plots in a folder of their own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("DNNREPAIR_")]:
            patch.delenv(name)
        for name in ("NO_COLOR", "FORCE_COLOR"):
            patch.delenv(name, raising=False)
        patch.setenv("MPLCONFIGDIR", str(tmp_path_factory.mktemp("matplotlib")))
        yield


@pytest.fixture(autouse=True, scope="session")
def _gradients_first() -> None:
    """Compute a gradient before some test exports a network without dnnrepair, as many do."""
    from dnnrepair.forking import begin_autograd

    begin_autograd()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
