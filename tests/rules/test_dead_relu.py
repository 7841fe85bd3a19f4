"""ACT001 against units that were killed one way or another."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dnnrepair.finding import Severity
from dnnrepair.rules.dead_relu import DeadRelu


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(12, 40), nn.ReLU(), nn.Linear(40, 10))


def inputs(samples: int = 600) -> Tensor:
    return torch.randn(samples, 12, generator=torch.Generator().manual_seed(1))


def first(model: nn.Sequential) -> nn.Linear:
    layer = model[0]
    assert isinstance(layer, nn.Linear)
    return layer


@pytest.mark.parametrize(
    ("dead", "severity"),
    [(1, Severity.NOTE), (19, Severity.NOTE), (20, Severity.WARNING), (40, Severity.ERROR)],
)
def test_killed_units_are_named(see: Any, say: Any, dead: int, severity: Severity) -> None:
    model = mlp()
    with torch.no_grad():
        first(model).bias[:dead] = -200.0
    (found,), _ = say(DeadRelu(), see(model, inputs(), rule=DeadRelu))
    assert found.units == tuple(range(dead))
    assert found.severity is severity
    assert found.layer == "0"
    assert found.measured == pytest.approx(dead / 40)


def test_a_bias_remedy_revives(see: Any, say: Any) -> None:
    model = mlp()
    with torch.no_grad():
        first(model).bias[:25] = -200.0
    (found,), _ = say(DeadRelu(), see(model, inputs(), rule=DeadRelu))
    assert "25 of them would fire without their bias" in " ".join(found.evidence)
    exec(found.remedies[0].code, {"model": model})
    fires = (first(model)(inputs()) > 0).float().mean(0)[:25]
    assert 0.03 < fires.min() < fires.max() < 0.25


def test_weights_can_be_the_cause(see: Any, say: Any) -> None:
    model = mlp()
    with torch.no_grad():
        first(model).weight[:30] = -first(model).weight[:30].abs()
        first(model).bias[:30] = -0.01
    (found,), _ = say(DeadRelu(), see(model, inputs().abs(), rule=DeadRelu))
    assert "0 of them would fire without their bias, 30 would not" in " ".join(found.evidence)


def test_healthy_and_pruned_units_are_silent(see: Any, say: Any) -> None:
    assert say(DeadRelu(), see(mlp(), inputs(), rule=DeadRelu)) == ([], [])
    model = mlp()
    with torch.no_grad():
        first(model).weight[:30], first(model).bias[:30] = 0, 0
    assert say(DeadRelu(), see(model, inputs(), rule=DeadRelu)) == ([], [])


def test_channels_behind_a_batch_norm(see: Any, say: Any) -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(10)
    norm.bias.data[:7] = -50
    model = nn.Sequential(nn.Conv2d(1, 10, 3), norm, nn.ReLU(), nn.Flatten(), nn.Linear(360, 10))
    (found,), _ = say(DeadRelu(), see(model, torch.randn(130, 1, 8, 8), rule=DeadRelu))
    assert found.units == tuple(range(7))
    assert found.layer == "1"
    assert found.severity is Severity.WARNING


class Shared(nn.Module):
    """One layer called twice; a unit that fires in one of the calls is alive."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(12, 12)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.layer(x)) + torch.relu(self.layer(-x))


def test_calls_of_one_layer_count_together(see: Any, say: Any) -> None:
    model = Shared()
    with torch.no_grad():
        model.layer.weight[:] = -model.layer.weight.abs()
        model.layer.bias[:] = -0.01
    assert say(DeadRelu(), see(model, inputs().abs(), rule=DeadRelu)) == ([], [])


def test_a_recurrent_relu(see: Any, say: Any) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.RNN(3, 16, nonlinearity="relu", batch_first=True)
            self.head = nn.Linear(16, 10)

        def forward(self, x: Tensor) -> Tensor:
            output: Tensor = self.head(self.rnn(x)[0][:, -1])
            return output

    model = Net()
    model.get_parameter("rnn.bias_ih_l0").data[:10] = -100
    (found,), _ = say(DeadRelu(), see(model, torch.randn(256, 4, 3), rule=DeadRelu))
    assert set(range(10)) <= set(found.units)


def test_nan_and_few_rows_are_skipped_not_judged(see: Any, say: Any) -> None:
    model = mlp()
    first(model).weight.data[0, 0] = torch.nan
    findings, skips = say(DeadRelu(), see(model, inputs(), rule=DeadRelu))
    assert not findings
    assert "NUM001" in skips[0].reason
    findings, skips = say(DeadRelu(), see(mlp(), inputs(100), rule=DeadRelu))
    assert not findings
    assert "100 rows" in skips[0].reason
