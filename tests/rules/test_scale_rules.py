"""ACT005, ACT006 and ACT007 against layers that were rescaled, shifted or made rank one."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dnnrepair.finding import Severity
from dnnrepair.rules.mean_shift import MeanShift
from dnnrepair.rules.rank_collapse import RankCollapse
from dnnrepair.rules.variance_shift import VarianceShift

INPUTS = torch.randn(640, 12, generator=torch.Generator().manual_seed(1))


def deep(depth: int = 7) -> nn.Sequential:
    torch.manual_seed(0)
    widths = [12, *[32] * depth]
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        layer = nn.Linear(fan_in, fan_out)
        nn.init.kaiming_normal_(layer.weight)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(32, 10))


@pytest.mark.parametrize("rule", [VarianceShift, MeanShift, RankCollapse])
def test_a_healthy_network_is_clean(see: Any, say: Any, rule: Any) -> None:
    assert say(rule(), see(deep(), INPUTS, rule=rule)) == ([], [])


def test_a_huge_layer(see: Any, say: Any) -> None:
    model = deep(2)
    model.get_parameter("2.weight").data *= 300
    findings, _ = say(VarianceShift(), see(model, INPUTS, rule=VarianceShift))
    assert [one.layer for one in findings] == ["2"]
    with torch.no_grad():
        assert findings[0].measured == pytest.approx(float(model[:3](INPUTS).std()), rel=0.01)


def test_growth_over_depth(see: Any, say: Any) -> None:
    model = deep()
    for layer in model[:-1]:
        if isinstance(layer, nn.Linear):
            layer.weight.data *= 2.4
    findings, _ = say(VarianceShift(max_std=1e9), see(model, INPUTS, rule=VarianceShift))
    assert len(findings) == 1
    assert findings[0].measured == pytest.approx(2.4, rel=0.15)


def test_a_scale_that_a_norm_undoes_is_clean(see: Any, say: Any) -> None:
    model = nn.Sequential(nn.Linear(12, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 10))
    model.get_parameter("0.weight").data *= 1e4
    assert say(VarianceShift(), see(model, INPUTS, rule=VarianceShift)) == ([], [])


def test_a_shifted_layer_and_its_remedy(see: Any, say: Any) -> None:
    model = deep(2)
    model.get_parameter("2.bias").data += 8 * model[:3](INPUTS).std(0).detach()
    (found,), _ = say(MeanShift(), see(model, INPUTS, rule=MeanShift))
    assert (found.layer, found.severity) == ("2", Severity.WARNING)
    exec(found.remedies[0].code, {"model": model})
    assert say(MeanShift(), see(model, INPUTS, rule=MeanShift)) == ([], [])


def test_a_rank_one_layer(see: Any, say: Any) -> None:
    model = deep(3)
    weight = model.get_parameter("2.weight").data
    left, values, right = torch.linalg.svd(weight)
    weight.copy_(values[0] * left[:, :1] @ right[:1])
    findings, _ = say(RankCollapse(), see(model, INPUTS, rule=RankCollapse))
    assert findings[0].layer == "2"
    assert findings[0].severity is Severity.WARNING


def test_one_large_unit_is_no_collapse(see: Any, say: Any) -> None:
    model = deep(3)
    model.get_parameter("2.weight").data[4] *= 1000
    findings, _ = say(RankCollapse(), see(model, INPUTS, rule=RankCollapse))
    assert "2" not in [one.layer for one in findings]


@pytest.mark.parametrize(("units", "severity"), [(3, Severity.NOTE), (20, Severity.WARNING)])
def test_constant_units(see: Any, say: Any, units: int, severity: Severity) -> None:
    model = deep(2)
    model.get_parameter("2.weight").data[:units] = 0
    model.get_parameter("2.bias").data[:units] = 0.7
    (found,), _ = say(RankCollapse(), see(model, INPUTS, rule=RankCollapse))
    assert (found.units, found.severity) == (tuple(range(units)), severity)


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Linear(5, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, norm_first=True, batch_first=True, dropout=0)
        self.encoder = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.head(self.encoder(self.embed(x)).mean(1))
        return output


def test_tokens_that_become_alike(see: Any, say: Any) -> None:
    model, x = Encoder(), torch.randn(128, 6, 5)
    assert say(RankCollapse(), see(model, x, rule=RankCollapse)) == ([], [])
    with torch.no_grad():  # a common vector drowns what tells the tokens apart
        model.get_parameter("encoder.layers.1.linear2.bias").add_(60)
    findings, _ = say(RankCollapse(), see(model, x, rule=RankCollapse))
    assert [one.severity for one in findings if "alike" in one.message] == [Severity.WARNING]


@pytest.mark.parametrize("rule", [VarianceShift, MeanShift, RankCollapse])
def test_nan_is_skipped(see: Any, say: Any, rule: Any) -> None:
    model = deep(2)
    model.get_parameter("0.weight").data[0, 0] = torch.nan
    findings, skips = say(rule(), see(model, INPUTS, rule=rule))
    assert not findings
    assert skips
