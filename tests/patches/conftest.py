"""Networks as tensors, and changes of them, of every type and shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from dnnrepair.patch import PATCHABLE

State = dict[str, Tensor]
SHAPES = st.lists(st.integers(1, 7), max_size=4).map(tuple)


@st.composite
def changes(draw: Callable[..., Any]) -> tuple[State, State]:
    """Draw a network and a changed one: any numbers, from none to all of each tensor."""
    rng = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    base, after = {}, {}
    for number in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(sorted(PATCHABLE, key=str)))
        shape = draw(SHAPES)
        before = torch.randint(0, 2, shape, generator=rng).to(kind)
        if kind.is_floating_point:
            before = before * torch.randn(shape, generator=rng, dtype=torch.float64).to(kind)
        share = draw(st.sampled_from([0.0, 0.05, 0.5, 1.0]))
        hit = torch.rand(shape, generator=rng) < share
        new = ~before if kind == torch.bool else before + 1
        base[f"layer{number}.weight"] = before
        after[f"layer{number}.weight"] = torch.where(hit, new, before)
    return base, after
