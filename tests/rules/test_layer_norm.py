"""LN001 against scales and inputs that were tampered with."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from dnnrepair.finding import Severity
from dnnrepair.rules.layer_norm import LayerNormFault

INPUTS = torch.randn(256, 12, generator=torch.Generator().manual_seed(1))


def mlp(norm: type[nn.Module] = nn.LayerNorm) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(12, 32), norm(32), nn.ReLU(), nn.Linear(32, 10))


@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.RMSNorm])
def test_a_huge_scale(see: Any, say: Any, norm: type[nn.Module]) -> None:
    model = mlp(norm)
    assert say(LayerNormFault(), see(model, INPUTS, rule=LayerNormFault)) == ([], [])
    model.get_parameter("1.weight").data[5] = 500.0
    (found,), _ = say(LayerNormFault(), see(model, INPUTS, rule=LayerNormFault))
    assert (found.units, found.severity, found.layer) == ((5,), Severity.WARNING, "1")
    exec(found.remedies[0].code, {"model": model})
    assert say(LayerNormFault(), see(model, INPUTS, rule=LayerNormFault)) == ([], [])


@pytest.mark.parametrize(("value", "severity"), [(0.0, Severity.NOTE), (1e-5, Severity.WARNING)])
def test_scales_near_zero(see: Any, say: Any, value: float, severity: Severity) -> None:
    model = mlp()
    model.get_parameter("1.weight").data[:20] = value
    (found,), _ = say(LayerNormFault(), see(model, INPUTS, rule=LayerNormFault))
    assert found.severity is severity


def test_inputs_too_faint_for_eps(see: Any, say: Any) -> None:
    model = mlp()
    for parameter in model[0].parameters():
        parameter.data *= 1e-4
    (found,), _ = say(LayerNormFault(), see(model, INPUTS, rule=LayerNormFault))
    assert "too faint" in found.message


def test_massive_features_are_noted(see: Any, say: Any) -> None:
    model = mlp()
    model.get_parameter("0.bias").data[3] = 100.0
    (found,), _ = say(LayerNormFault(), see(model, INPUTS, rule=LayerNormFault))
    assert found.severity is Severity.NOTE


def test_nan_is_skipped(see: Any, say: Any) -> None:
    model = mlp()
    model.get_parameter("1.weight").data[0] = torch.nan
    findings, skips = say(LayerNormFault(), see(model, INPUTS, rule=LayerNormFault))
    assert not findings
    assert skips
