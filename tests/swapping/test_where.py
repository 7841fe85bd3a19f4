"""Which layers are meant, and what is said where none is or none may be."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

from dnnrepair.errors import ModelError, SettingError, UnknownNameError
from dnnrepair.finding import Finding, Severity
from dnnrepair.subject import subject_of
from dnnrepair.swapping.draft import Draft
from dnnrepair.swapping.plan import ORDER, planned
from dnnrepair.swapping.where import Where
from tests.swapping.small import applied, reference, rng

if TYPE_CHECKING:
    from dnnrepair.subject import Subject


@pytest.mark.parametrize(
    ("operation", "where", "message"),
    [
        ("activation", "con1", r"no layer matches 'con1'; near ones: conv1"),
        ("activation", "zz*", r"no layer matches 'zz\*'; near ones: conv1, conv2, fc"),
        ("gated", "*", "this network has no plain recurrent layers"),
        ("gated", "conv1", "no plain recurrent layers in 'conv1'"),
        ("norm", "head", "head is the last layer: its outputs are the network's answers"),
    ],
)
def test_a_name_that_matches_nothing_is_told_with_near_ones(
    operation: str, where: str, message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        applied(reference("cnn"), operation, where)


def test_an_unknown_activation_is_told_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'prelu'"):
        applied(reference("cnn"), "activation", new="prelo")
    with pytest.raises(UnknownNameError, match="did you mean 'relu'"):
        applied(reference("cnn"), "activation", old="rleu", new="prelu")
    with pytest.raises(UnknownNameError, match="no initializer is called 'hee'"):
        applied(reference("cnn"), "init", rule="hee")
    with pytest.raises(SettingError, match="no normalization is called 'btach'; known: batch"):
        applied(reference("cnn"), "norm", kind="btach")


def frozen() -> Subject:
    module = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    for value in (module.get_parameter("0.weight"), module.get_parameter("0.bias")):
        value.requires_grad = False
    x = torch.randn(64, 6, generator=rng())
    return subject_of(module, (x, torch.arange(64) % 3))


@pytest.mark.parametrize("operation", ["activation", "norm", "init"])
def test_a_frozen_layer_is_refused_by_name_and_left_out_of_patterns(operation: str) -> None:
    with pytest.raises(SettingError, match=r"0 is frozen \(requires_grad is False\); unfreeze it"):
        applied(frozen(), operation, "0")
    found = applied(frozen(), operation, "*")
    assert found.skipped[0] == "0 is frozen (requires_grad is False); unfreeze it first"
    assert "0" not in found.swaps[0].layers
    assert "2" in found.swaps[0].layers


class Quantized(nn.Module):
    """Its weights are integers, as a quantized network's in a graph."""

    weight: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.randint(-127, 127, (8, 6), dtype=torch.int8))
        self.register_buffer("scale", torch.rand(8) / 100)

    def forward(self, x: Tensor) -> Tensor:
        scale = torch.full((8,), 0.01)
        zero = torch.zeros(8, dtype=torch.int64)
        weight = torch.ops.quantized_decomposed.dequantize_per_channel(
            self.weight, scale, zero, 0, -127, 127, torch.int8
        )
        return nn.functional.linear(x, weight).relu()


def test_a_quantized_layer_is_refused() -> None:
    pytest.importorskip("torch.ao.quantization.fx._decomposed")
    module = nn.Sequential(Quantized(), nn.Linear(8, 3))
    x = torch.randn(64, 6, generator=rng())
    subject = subject_of(module, (x, torch.arange(64) % 3))
    layer = next(s for s in subject.running.sites if s.op == "relu")
    with pytest.raises(SettingError, match="is quantized; change the network before"):
        applied(subject, "activation", layer.name, new="prelu")


def test_findings_choose_layers_and_units() -> None:
    finding = Finding(
        code="ACT001", severity=Severity.NOTE, layer="conv1", message="", measured=0, limit=0
    )
    where = Where.of([replace(finding, units=(3, 5)), replace(finding, code="BN001")], "ACT001")
    assert where.layers == ("conv1",)
    assert where.because == "ACT001"
    assert where.units == {"conv1": (3, 5)}
    with pytest.raises(SettingError, match="ACT002 finds nothing in this network"):
        Where.of([finding], "ACT002")


def test_options_become_steps_in_a_fixed_order() -> None:
    steps = planned(
        {
            "temperature": ["auto"],
            "norm": ["batch:conv1", "layer"],
            "activation": ["relu=prelu:ACT001", "gelu"],
            "revive": ["fc"],
            "layer-scale": ["0.2"],
            "remove-softmax": [""],
        },
        place="head",
    )
    assert [step.operation.name for step in steps] == [
        *("remove-softmax", "revive", "activation", "activation", "residual-scale", "norm"),
        *("norm", "temperature"),
    ]
    assert [step.place for step in steps] == [
        *("head", "fc", "ACT001", "head", "head", "conv1", "head", "head"),
    ]
    assert [step.by_rule for step in steps].count(True) == 1
    assert len(ORDER) == len(set(ORDER))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "nothing is to be changed; ask for something: --remove-softmax"),
        ({"norm": ["batch:"]}, "--norm batch:: nothing after the colon"),
        ({"activation": ["relu="]}, "name the new activation, as in --activation relu=prelu"),
        ({"residual-scale": ["much"]}, "'much' is not a number above 0"),
        ({"temperature": ["-1"]}, "'-1' is not a number above 0"),
    ],
)
def test_what_cannot_be_read_is_told(asked: dict[str, list[str]], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        planned(asked)


def test_a_network_that_is_no_graph_is_refused() -> None:
    class Endless(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.layer(x)
            return y if float(y.detach().sum()) > 0 else -y

    subject = subject_of(Endless(), torch.randn(8, 3))
    with pytest.raises(ModelError, match="could not be exported as a graph"):
        Draft.of(subject.running)
