"""NUM002 against denormal, outlying and quantized weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dnnrepair.finding import Severity
from dnnrepair.rules.constant_weights import ConstantWeights
from dnnrepair.rules.extreme_weights import ExtremeWeights


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(32, 50), nn.ReLU(), nn.Linear(50, 4))


def weight(model: nn.Sequential) -> Tensor:
    layer = model[0]
    assert isinstance(layer, nn.Linear)
    return layer.weight


@pytest.mark.parametrize(
    ("rows", "severity"), [(1, Severity.NOTE), (4, Severity.NOTE), (10, Severity.WARNING)]
)
def test_denormal_rows(see: Any, say: Any, rows: int, severity: Severity) -> None:
    model, x = mlp(), torch.randn(64, 32)
    with torch.no_grad():
        weight(model)[:rows] = 1e-39
    before = model(x)
    (found,), _ = say(ExtremeWeights(), see(model, x, rule=ExtremeWeights))
    assert found.severity is severity
    assert found.measured == pytest.approx(rows / 50)
    exec(found.remedies[0].code, {"model": model})
    torch.testing.assert_close(model(x), before)
    assert say(ExtremeWeights(), see(model, x, rule=ExtremeWeights))[0] == []


def test_one_weight_far_out_is_noted(see: Any, say: Any) -> None:
    model = mlp()
    with torch.no_grad():
        weight(model)[3, 4] *= 1e6
    (found,), _ = say(ExtremeWeights(), see(model, torch.randn(64, 32), rule=ExtremeWeights))
    assert found.severity is Severity.NOTE
    assert found.measured > 1e4


def test_pruned_weights_are_fine(see: Any, say: Any) -> None:
    model = mlp()
    with torch.no_grad():
        weight(model).mul_(torch.rand(50, 32) < 0.05)
    assert say(ExtremeWeights(), see(model, torch.randn(64, 32), rule=ExtremeWeights))[0] == []


def test_quantized_weights_are_noted_and_left_out_elsewhere(see: Any, say: Any) -> None:
    model = mlp()
    with torch.no_grad():
        step = weight(model).abs().max() / 7
        weight(model).copy_((weight(model) / step).round() * step)
    (found,), _ = say(ExtremeWeights(), see(model, torch.randn(64, 32), rule=ExtremeWeights))
    assert "15 different values" in found.message
    _, skips = say(ConstantWeights(), see(model, torch.randn(64, 32), rule=ConstantWeights))
    assert ["quantized" in skip.reason for skip in skips] == [True]
