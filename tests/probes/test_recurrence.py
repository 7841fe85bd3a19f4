"""Recurrent gains against Jacobians of unrolled cells, radii against known eigenvalues."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dnnrepair.evidence.recurrence import RecurrentGain
from dnnrepair.observation import Role, TensorInfo
from dnnrepair.observe import observe
from dnnrepair.probes.recurrence import SpectralRadiusProbe
from dnnrepair.progress import silent
from dnnrepair.subject import subject_of

HIDDEN, STEPS = 5, 6


class Reader(nn.Module):
    def __init__(self, cell: Any, **settings: Any) -> None:
        super().__init__()
        self.cell = cell(3, HIDDEN, batch_first=True, **settings)
        self.head = nn.Linear(HIDDEN * (1 + bool(settings.get("bidirectional"))), 3)

    def forward(self, x: Tensor) -> Any:
        return self.head(self.cell(x)[0][:, -1])


def gains(module: nn.Module, x: Tensor) -> RecurrentGain:
    found = observe(
        subject_of(module.eval(), x),
        frozenset({RecurrentGain}),
        seed=0,
        batch_size=64,
        progress=silent,
    )
    (gain,) = found.of(RecurrentGain).values()
    return gain


@pytest.mark.parametrize("blocks", [1, 3, 4])
def test_the_radius_of_a_scaled_rotation(blocks: int) -> None:
    q, _ = torch.linalg.qr(torch.randn(7, 7, generator=torch.Generator().manual_seed(0)))
    weight = torch.zeros(blocks * 7, 7)
    place = {1: 0, 3: 2, 4: 2}[blocks] * 7
    weight[place : place + 7] = 1.7 * q
    info = TensorInfo(name="w", layer="", role=Role.RECURRENT, shape=tuple(weight.shape))
    found = SpectralRadiusProbe().measure_tensor(info, weight)
    assert found is not None
    assert found.radius == pytest.approx(1.7, rel=1e-5)
    assert found.blocks == blocks


def test_a_state_passed_on_unchanged_has_gain_one() -> None:
    module = Reader(nn.RNN, nonlinearity="relu")
    with torch.no_grad():
        for value in module.cell.parameters():
            value.zero_()
        module.cell.weight_hh_l0.copy_(torch.eye(HIDDEN))
        module.cell.bias_ih_l0.fill_(1.0)  # keeps the ReLU open
    found = gains(module, torch.randn(20, STEPS, 3))
    assert found.steps == STEPS
    assert found.gains == {"layer 0": pytest.approx(1.0, rel=0.2)}


@pytest.mark.parametrize(("cell", "paired"), [(nn.GRU, False), (nn.LSTM, True)])
def test_gains_are_those_of_the_unrolled_jacobian(cell: Any, paired: bool) -> None:
    torch.manual_seed(0)
    module, x = Reader(cell), torch.randn(16, STEPS, 3)
    found = gains(module, x)
    total = 0.0
    for sample in x:
        with torch.no_grad():
            _, state = module.cell(sample[None, :1])
        states = state if paired else (state,)

        def last(*given: Tensor, sample: Tensor = sample) -> Tensor:
            state = given if paired else given[0]
            output: Tensor = module.cell(sample[None, 1:], state)[0]
            return output[0, -1]

        parts = torch.autograd.functional.jacobian(last, tuple(states))
        total += sum(float(part.square().sum()) for part in parts)
    wanted = math.sqrt(total / (16 * HIDDEN))
    assert found.gains["layer 0"] == pytest.approx(wanted, rel=0.2)  # of random projections


def test_every_layer_and_direction_is_measured() -> None:
    found = gains(Reader(nn.LSTM, num_layers=2, bidirectional=True), torch.randn(9, STEPS, 3))
    assert list(found.gains) == ["layer 0", "layer 0 backward", "layer 1", "layer 1 backward"]
    assert all(0 < gain < 10 for gain in found.gains.values())
