"""WGT001, WGT002 and WGT003 against copied units, collapsed matrices and spikes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dnnrepair.finding import Severity
from dnnrepair.rules.duplicate_units import DuplicateUnits
from dnnrepair.rules.weight_rank import WeightRank
from dnnrepair.rules.weight_spectrum import WeightSpectrum


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(24, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 2)
    )


def conv() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 40, 3), nn.BatchNorm2d(40), nn.ReLU(), nn.Conv2d(40, 20, 3))


def inputs() -> Tensor:
    return torch.randn(512, 24, generator=torch.Generator().manual_seed(1))


def images() -> Tensor:
    return torch.randn(128, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def layer(model: nn.Sequential, place: int) -> nn.Linear:
    found = model[place]
    assert isinstance(found, nn.Linear | nn.Conv2d)
    return found  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("copies", "severity"), [(1, Severity.NOTE), (2, Severity.WARNING), (12, Severity.WARNING)]
)
@pytest.mark.parametrize("make", [mlp, conv])
def test_copied_units(see: Any, say: Any, make: Any, copies: int, severity: Severity) -> None:
    model = make()
    x = inputs() if make is mlp else images()
    with torch.no_grad():
        first = layer(model, 0)
        first.weight[20 : 20 + copies] = -2.5 * first.weight[:copies]  # any scale and sign
        first.bias[20 : 20 + copies] = first.bias[:copies]
    (found,), _ = say(DuplicateUnits(), see(model, x, rule=DuplicateUnits))
    assert found.severity is severity
    assert found.units == tuple(range(20, 20 + copies))
    assert found.measured == pytest.approx(copies / 40)
    exec(found.remedies[0].code, {"model": model})
    assert say(DuplicateUnits(), see(model, x, rule=DuplicateUnits))[0] == []


def test_dead_inputs_outputs_and_narrow_inputs_are_left_out(see: Any, say: Any) -> None:
    model = mlp()
    with torch.no_grad():
        layer(model, 0).weight[:10] = 0  # constant units
        layer(model, 4).weight[1] = -layer(model, 4).weight[0]  # two logits may mirror each other
    assert say(DuplicateUnits(), see(model, inputs(), rule=DuplicateUnits)) == ([], [])
    narrow = nn.Sequential(nn.Linear(1, 32), nn.ReLU(), nn.Linear(32, 2))
    findings, skips = say(DuplicateUnits(), see(narrow, torch.randn(512, 1), rule=DuplicateUnits))
    assert findings == []
    assert "1 inputs" in skips[0].reason


def test_values_that_are_not_finite_are_skipped(see: Any, say: Any) -> None:
    model = mlp()
    with torch.no_grad():
        layer(model, 0).weight[0, 0] = torch.nan
    for rule in (DuplicateUnits, WeightRank, WeightSpectrum):
        findings, _ = say(rule(), see(model, inputs(), rule=rule))
        assert findings == []


def low_rank(weight: Tensor, rank: int) -> Tensor:
    u, s, v = torch.linalg.svd(weight.flatten(1), full_matrices=False)
    product: Tensor = (u[:, :rank] * s[:rank]) @ v[:rank]
    return product.view_as(weight)


@pytest.mark.parametrize("make", [mlp, conv])
@pytest.mark.parametrize(("rank", "said"), [(1, 1), (8, 1), (20, 0)])
def test_collapsed_matrices(see: Any, say: Any, make: Any, rank: int, said: int) -> None:
    model, x = make(), inputs() if make is mlp else images()
    assert say(WeightRank(), see(model, x, rule=WeightRank)) == ([], [])
    with torch.no_grad():
        layer(model, 0).weight.copy_(low_rank(layer(model, 0).weight, rank))
    findings, _ = say(WeightRank(), see(model, x, rule=WeightRank))
    assert [f.layer for f in findings] == ["0"] * said


def test_exactly_low_rank_in_double(see: Any, say: Any) -> None:
    model = mlp().double()
    with torch.no_grad():
        layer(model, 0).weight.copy_(low_rank(layer(model, 0).weight, 8))
    (found,), _ = say(WeightRank(), see(model, inputs().double(), rule=WeightRank))
    assert found.measured == pytest.approx(16 / 24)


def test_pruned_rows_are_no_collapse(see: Any, say: Any) -> None:
    model = mlp()
    with torch.no_grad():
        layer(model, 2).weight[:24] = 0
    assert say(WeightRank(), see(model, inputs(), rule=WeightRank))[0] == []


def test_spikes_are_noted_and_only_noted(see: Any, say: Any) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(200, 100), nn.ReLU(), nn.Linear(100, 2))
    x = torch.randn(256, 200)
    assert say(WeightSpectrum(), see(model, x, rule=WeightSpectrum))[0] == []
    with torch.no_grad():
        weight = layer(model, 0).weight
        weight += 0.3 * torch.randn(100, 2) @ torch.randn(2, 200)
    (found,), _ = say(WeightSpectrum(), see(model, x, rule=WeightSpectrum))
    assert found.severity is Severity.NOTE
    assert "2 spikes" in found.message
