"""INI001 against weights without variety, and what may look like them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dnnrepair.evidence.rows import RowCopies
from dnnrepair.evidence.summary import TensorSummary
from dnnrepair.finding import Severity
from dnnrepair.observation import Facts, Observations, Role, TensorInfo
from dnnrepair.probes.rows import RowProbe
from dnnrepair.probes.summary import SummaryProbe
from dnnrepair.rules.constant_weights import ConstantWeights


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))


def equal_rows(layer: nn.Linear) -> None:
    layer.weight.copy_(layer.weight[:1].expand_as(layer.weight).clone())
    layer.bias.fill_(0.1)


@pytest.mark.parametrize(
    "plant",
    [lambda m: m.weight.fill_(0), lambda m: m.weight.fill_(0.05), equal_rows],
    ids=["zero", "constant", "rows"],
)
@pytest.mark.parametrize("place", [0, 2])
def test_weights_without_variety(see: Any, say: Any, plant: Any, place: int) -> None:
    model = mlp()
    with torch.no_grad():
        plant(model[place])
    (found,), _ = say(ConstantWeights(), see(model, torch.randn(64, 6), rule=ConstantWeights))
    assert found.severity is Severity.ERROR
    assert found.layer == str(place)
    exec(found.remedies[0].code, {"model": model})
    assert say(ConstantWeights(), see(model, torch.randn(64, 6), rule=ConstantWeights)) == ([], [])


def test_equal_rows_with_different_biases_are_different_units(see: Any, say: Any) -> None:
    model = mlp()
    layer = model[0]
    assert isinstance(layer, nn.Linear)
    with torch.no_grad():
        layer.weight.copy_(layer.weight[:1].expand_as(layer.weight).clone())
    assert say(ConstantWeights(), see(model, torch.randn(64, 6), rule=ConstantWeights))[0] == []


class Reader(nn.Module):
    def __init__(self, cell: type[nn.LSTM | nn.GRU]) -> None:
        super().__init__()
        self.cell = cell(6, 8, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cell(x)[0][:, -1])  # type: ignore[no-any-return]


@pytest.mark.parametrize("cell", [nn.LSTM, nn.GRU])
def test_one_gate_of_a_recurrent_layer(see: Any, say: Any, cell: Any) -> None:
    torch.manual_seed(0)
    model = Reader(cell)
    x = torch.randn(64, 5, 6)
    assert say(ConstantWeights(), see(model, x, rule=ConstantWeights))[0] == []
    with torch.no_grad():
        model.get_parameter("cell.weight_hh_l0")[8:16] = 0.3
    (found,), _ = say(ConstantWeights(), see(model, x, rule=ConstantWeights))
    assert "1 of " in found.message
    assert "weight_hh_l0" in found.message


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(6, 16)
        self.last = nn.Linear(16, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x + self.last(torch.relu(self.inner(x))))  # type: ignore[no-any-return]


def test_a_branch_may_start_at_zero(see: Any, say: Any) -> None:
    torch.manual_seed(0)
    model = Residual()
    with torch.no_grad():
        model.last.weight.zero_()
    (found,), _ = say(ConstantWeights(), see(model, torch.randn(64, 6), rule=ConstantWeights))
    assert found.severity is Severity.NOTE
    with torch.no_grad():
        model.inner.weight.zero_()
    findings, _ = say(ConstantWeights(), see(model, torch.randn(64, 6), rule=ConstantWeights))
    assert {f.layer: f.severity for f in findings}["inner"] is Severity.ERROR


def test_pruned_rows_and_fixed_kernels_are_healthy(see: Any, say: Any) -> None:
    model = mlp()
    layer = model[0]
    assert isinstance(layer, nn.Linear)
    with torch.no_grad():
        layer.weight[:12] = 0
    assert say(ConstantWeights(), see(model, torch.randn(64, 6), rule=ConstantWeights))[0] == []

    class Blur(nn.Module):
        kernel: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("kernel", torch.full((3, 1, 3, 3), 1 / 9))
            self.head = nn.Conv2d(3, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(nn.functional.conv2d(x, self.kernel, groups=3))  # type: ignore[no-any-return]

    found = say(ConstantWeights(), see(Blur(), torch.randn(64, 3, 8, 8), rule=ConstantWeights))
    assert found[0] == []


def test_weights_alone_are_enough(say: Any) -> None:
    value = torch.full((8, 4), 0.1)
    info = TensorInfo(name="a.weight", layer="a", role=Role.WEIGHT, shape=(8, 4), fan_in=4)
    seen = Observations(
        tensors={"a.weight": info},
        facts=Facts(mode="weights"),
        evidence={
            TensorSummary: {"a.weight": SummaryProbe().measure_tensor(info, value)},
            RowCopies: {"a.weight": RowProbe().measure_tensor(info, value)},
        },
    )
    (found,), _ = say(ConstantWeights(), seen)
    assert found.layer == "a"
