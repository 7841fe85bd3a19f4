"""Fresh networks are drawn alike, whatever ran before."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def _drawn_alike() -> None:
    torch.manual_seed(0)
