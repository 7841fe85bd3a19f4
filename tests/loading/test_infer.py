"""An architecture from weights: the same answers as the network they came from, or none."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dnnrepair.errors import ModelError
from dnnrepair.loading import load
from dnnrepair.loading.infer import infer

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


@settings(max_examples=40, deadline=None)
@given(
    widths=st.lists(st.integers(1, 6), min_size=2, max_size=5),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    norm=st.booleans(),
    seed=st.integers(0, 99),
    shuffled=st.booleans(),
)
def test_chains_of_linear_layers_come_back(
    widths: list[int], activation: str, seed: int, *, norm: bool, shuffled: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after)]
        layers += [nn.BatchNorm1d(after)] if norm else []
        layers += [ACTIVATIONS[activation]()]
    module = nn.Sequential(*layers[:-1]).eval()
    state = {k: v.detach() for k, v in module.state_dict().items()}
    if shuffled:  # safetensors sorts names
        state = dict(sorted(state.items()))
    found, note = infer(state, f"auto:{activation}")
    assert found is not None, note
    x = torch.randn(3, widths[0], generator=generator)
    torch.testing.assert_close(found.eval()(x), module(x))
    assert set(found.state_dict()) == set(module.state_dict())


def test_convolutions_with_global_pooling() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(
                nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 1)
            )
            self.head = nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.head(torch.relu(self.features(x)).mean((2, 3)))
            return y

    module = Net().eval()
    found, note = infer(module.state_dict(), "auto:relu")
    assert found is not None
    x = torch.randn(2, 1, 5, 5)
    torch.testing.assert_close(found.eval()(x), module(x))
    assert "stride 1" in note
    assert "global average pooling" in note


UNCERTAIN = {
    "how 4 channels become 36 inputs": nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(36, 2)
    ),
    "is no Linear, Conv or BatchNorm": nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3)),
    "the padding of": nn.Sequential(nn.Conv2d(1, 4, 2)),
    "gives 3 values and": nn.Sequential(nn.Linear(2, 3), nn.Linear(4, 2)),
    "'0' is no Linear": nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2)),
}


@pytest.mark.parametrize("reason", UNCERTAIN)
def test_what_is_uncertain_is_not_guessed(reason: str) -> None:
    state = UNCERTAIN[reason].state_dict()
    found, note = infer(state, None)
    assert found is None
    assert reason in note
    assert "--arch" in note
    with pytest.raises(ModelError, match="--arch auto:relu"):
        infer(state, "auto:relu")


def test_a_single_layer_needs_no_activation(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(3, 2))
    torch.save(module.state_dict(), tmp_path / "m.pt")
    loaded = load(str(tmp_path / "m.pt"))
    assert loaded.module is not None
    x = torch.randn(4, 3)
    assert torch.equal(loaded.module(x), module(x))


def test_unknown_activation_is_named() -> None:
    with pytest.raises(ModelError, match="no activation 'swish'"):
        infer(nn.Sequential(nn.Linear(1, 1)).state_dict(), "auto:swish")
