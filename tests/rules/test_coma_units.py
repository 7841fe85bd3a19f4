"""ACT002 against units that were pushed to one side."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dnnrepair.finding import Severity
from dnnrepair.rules.coma_units import ComaUnits


def mlp(activation: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(12, 40), activation, nn.Linear(40, 10))


def inputs() -> Tensor:
    return torch.randn(600, 12, generator=torch.Generator().manual_seed(1))


ACTIVATIONS = [nn.LeakyReLU(), nn.PReLU(), nn.ELU(), nn.SELU(), nn.GELU(), nn.SiLU(), nn.Mish()]


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: type(a).__name__)
def test_units_in_coma_are_named(see: Any, say: Any, activation: nn.Module) -> None:
    model = mlp(activation)
    assert say(ComaUnits(), see(model, inputs(), rule=ComaUnits)) == ([], [])
    model.get_parameter("0.bias").data[:28] = -200.0
    (found,), _ = say(ComaUnits(), see(model, inputs(), rule=ComaUnits))
    assert found.severity is Severity.WARNING
    assert found.units == tuple(range(28))
    exec(found.remedies[0].code, {"model": model})
    assert say(ComaUnits(), see(model, inputs(), rule=ComaUnits)) == ([], [])


def test_a_linear_relu_layer_is_noted(see: Any, say: Any) -> None:
    model = mlp(nn.ReLU())
    model.get_parameter("0.bias").data[:] = 200.0
    (found,), _ = say(ComaUnits(), see(model, inputs(), rule=ComaUnits))
    assert found.severity is Severity.NOTE
    assert len(found.units) == 40
