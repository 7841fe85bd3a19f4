"""ACT003 against saturated units, and against what may saturate."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dnnrepair.finding import Severity
from dnnrepair.rules.saturation import Saturation


def inputs() -> Tensor:
    return torch.randn(600, 12, generator=torch.Generator().manual_seed(1))


BOUNDED = [nn.Sigmoid(), nn.Tanh(), nn.Hardsigmoid(), nn.Hardtanh()]


@pytest.mark.parametrize("activation", BOUNDED, ids=lambda a: type(a).__name__)
def test_saturated_units_are_named_and_rescaled(see: Any, say: Any, activation: nn.Module) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 40), activation, nn.Linear(40, 10))
    model.get_parameter("0.weight").data *= 0.5
    assert say(Saturation(), see(model, inputs(), rule=Saturation)) == ([], [])
    model.get_parameter("0.weight").data *= 1000
    (found,), _ = say(Saturation(), see(model, inputs(), rule=Saturation))
    assert found.severity is Severity.WARNING
    assert len(found.units) > 30
    exec(found.remedies[0].code, {"model": model})
    findings, _ = say(Saturation(), see(model, inputs(), rule=Saturation))
    assert not any(one.severity is Severity.WARNING for one in findings)


class Gated(nn.Module):
    """Sigmoids that weigh another value, and one that is the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.value, self.head = nn.Linear(12, 9), nn.Linear(12, 9), nn.Linear(9, 3)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(500 * self.gate(x))
        value = self.value(x)
        mixed = gate * value + (1 - gate) * x[:, :9]
        silu = mixed * torch.sigmoid(900 * mixed)
        return torch.sigmoid(700 * self.head(silu))


def test_gates_and_outputs_may_saturate(see: Any, say: Any) -> None:
    assert say(Saturation(), see(Gated(), inputs(), rule=Saturation)) == ([], [])


def test_sparse_relu6_is_not_saturated(see: Any, say: Any) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 40), nn.ReLU6(), nn.Linear(40, 10))
    model.get_parameter("0.bias").data[:] = -20
    assert say(Saturation(), see(model, inputs(), rule=Saturation)) == ([], [])
    model.get_parameter("0.bias").data[:] = 60
    (found,), _ = say(Saturation(), see(model, inputs(), rule=Saturation))
    assert found.severity is Severity.WARNING


class Recurrent(nn.Module):
    def __init__(self, kind: Any, **options: Any) -> None:
        super().__init__()
        self.rnn: nn.RNNBase = kind(3, 8, batch_first=True, **options)
        self.head = nn.Linear(16 if options.get("bidirectional") else 8, 10)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.head(self.rnn(x)[0][:, -1])
        return output


@pytest.mark.parametrize(
    ("kind", "gate", "named"),
    [
        (nn.LSTM, 0, "input gate"),
        (nn.LSTM, 1, ""),
        (nn.LSTM, 2, "candidate"),
        (nn.LSTM, 3, "output gate"),
        (nn.GRU, 1, ""),
        (nn.GRU, 2, "candidate"),
        (nn.RNN, 0, "state"),
    ],
)
def test_gates_of_recurrent_layers(
    see: Any, say: Any, kind: type[nn.RNNBase], gate: int, named: str
) -> None:
    torch.manual_seed(0)
    model = Recurrent(kind)
    x = torch.randn(256, 5, 3)
    assert say(Saturation(), see(model, x, rule=Saturation)) == ([], [])
    rows = slice(8 * gate, 8 * gate + 8)
    model.get_parameter("rnn.bias_ih_l0").data[rows] = 30.0
    findings, _ = say(Saturation(), see(model, x, rule=Saturation))
    assert [named in one.message for one in findings] == ([True] if named else [])
