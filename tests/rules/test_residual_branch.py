"""RES001 against branches that were scaled."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dnnrepair.finding import Severity
from dnnrepair.rules.residual_branch import ResidualBranch


class Residual(nn.Module):
    def __init__(self, blocks: int = 4) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Linear(12, 32)
        self.norms = nn.ModuleList(nn.LayerNorm(32) for _ in range(blocks))
        self.one = nn.ModuleList(nn.Linear(32, 32) for _ in range(blocks))
        self.two = nn.ModuleList(nn.Linear(32, 32) for _ in range(blocks))
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for norm, one, two in zip(self.norms, self.one, self.two, strict=True):
            x = x + two(one(norm(x)).relu())
        output: Tensor = self.head(x)
        return output


def scaled(place: int, factor: float) -> Residual:
    model = Residual()
    for parameter in model.two[place].parameters():
        parameter.data *= factor
    return model


INPUTS = torch.randn(256, 12, generator=torch.Generator().manual_seed(1))


def test_a_healthy_network_is_clean(see: Any, say: Any) -> None:
    assert say(ResidualBranch(), see(Residual(), INPUTS, rule=ResidualBranch)) == ([], [])


@pytest.mark.parametrize(("factor", "words"), [(40.0, "times as large"), (0.005, "adds")])
def test_branches_out_of_proportion(see: Any, say: Any, factor: float, words: str) -> None:
    model = scaled(1, factor)
    findings, _ = say(ResidualBranch(), see(model, INPUTS, rule=ResidualBranch))
    with torch.no_grad():
        x = model.stem(INPUTS)
        x = x + model.two[0](model.one[0](model.norms[0](x)).relu())
        branch = model.two[1](model.one[1](model.norms[1](x)).relu())
    expected = float(branch.square().mean().sqrt() / x.square().mean().sqrt())
    assert findings[0].layer == "two.1"
    assert words in findings[0].message
    assert findings[0].measured == pytest.approx(expected, rel=1e-4)
    assert findings[0].severity is Severity.WARNING


def test_a_growing_stream(see: Any, say: Any) -> None:
    model = Residual()
    for two, factor in zip(model.two, (6.0, 18.0, 54.0, 150.0), strict=True):
        for parameter in two.parameters():
            parameter.data *= factor
    findings, _ = say(ResidualBranch(max_ratio=1e9), see(model, INPUTS, rule=ResidualBranch))
    assert "grown" in findings[-1].message


def test_one_massive_unit_is_no_growth(see: Any, say: Any) -> None:
    model = Residual()
    model.get_parameter("two.0.bias").data[0] = 100.0
    findings, _ = say(ResidualBranch(max_ratio=1e9), see(model, INPUTS, rule=ResidualBranch))
    assert not [one for one in findings if "grown" in one.message]


def test_a_branch_that_starts_at_zero_is_noted(see: Any, say: Any) -> None:
    findings, _ = say(ResidualBranch(), see(scaled(2, 0.0), INPUTS, rule=ResidualBranch))
    assert [one.severity for one in findings] == [Severity.NOTE]


def test_nan_is_skipped(see: Any, say: Any) -> None:
    model = Residual()
    model.stem.weight.data[0, 0] = torch.nan
    findings, skips = say(ResidualBranch(), see(model, INPUTS, rule=ResidualBranch))
    assert not findings
    assert len(skips) == 4
