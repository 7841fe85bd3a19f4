"""NUM001 against NaN and infinities that were put somewhere, and masks that are meant to be."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dnnrepair.finding import Severity
from dnnrepair.rules.non_finite import NonFinite


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Linear(16, 8),
        nn.ReLU(),
        nn.Linear(8, 3),
    )


def inputs() -> Tensor:
    return torch.randn(256, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("name", "layer"),
    [("0.weight", "0"), ("3.bias", "3"), ("1.running_var", "1"), ("5.weight", "5")],
)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_the_first_bad_tensor_is_named(
    see: Any, say: Any, name: str, layer: str, bad: float
) -> None:
    model = mlp()
    with torch.no_grad():
        model.state_dict()[name].view(-1)[2] = bad
    (found,), _ = say(NonFinite(), see(model, inputs(), rule=NonFinite))
    assert found.severity is Severity.ERROR
    assert found.layer == layer
    assert repr(name) in found.message
    assert "2" in found.message


def test_of_two_the_first_in_execution_order_is_reported(see: Any, say: Any) -> None:
    model = mlp()
    with torch.no_grad():
        for name in ("5.bias", "3.weight"):
            model.state_dict()[name].view(-1)[0] = torch.nan
    (found,), _ = say(NonFinite(), see(model, inputs(), rule=NonFinite))
    assert found.layer == "3"
    assert any("5.bias" in line for line in found.evidence)


def test_values_overflow_without_a_bad_weight(see: Any, say: Any) -> None:
    model = mlp()
    with torch.no_grad():
        model.state_dict()["3.weight"].mul_(1e30)
        model.state_dict()["5.weight"].mul_(1e30)
    (found,), _ = say(NonFinite(), see(model, inputs(), rule=NonFinite))
    assert found.layer == "5"
    assert "values that are not finite" in found.message


def test_nan_in_the_data_is_the_root(see: Any, say: Any) -> None:
    x = inputs()
    x[7, 3] = torch.nan
    (found,), _ = say(NonFinite(), see(mlp(), x, rule=NonFinite))
    assert "the data hold 1 " in found.message


class Masked(nn.Module):
    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.keys = nn.Linear(6, 6)
        self.register_buffer("mask", torch.full((4, 4), -torch.inf).triu(1))

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.keys(x) @ x.mT + self.mask
        return scores.softmax(-1) @ x


def test_attention_masks_are_no_fault(see: Any, say: Any) -> None:
    torch.manual_seed(0)
    findings, _ = say(NonFinite(), see(Masked(), torch.randn(64, 4, 6), rule=NonFinite))
    assert findings == []


def test_a_healthy_network_has_nothing_to_report(see: Any, say: Any) -> None:
    y = torch.randint(0, 3, (256,), generator=torch.Generator().manual_seed(2))
    findings, skips = say(NonFinite(), see(mlp(), inputs(), y, rule=NonFinite))
    assert (findings, skips) == ([], [])
