"""Networks are changed alike wherever they are, down to what is drawn at random."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from dnnrepair.bits import digest
from dnnrepair.request import Request
from dnnrepair.subject import Subject, open_subject
from dnnrepair.swapping.measuring import example_of
from dnnrepair.swapping.operation import operations
from tests.swapping.small import applied

CASES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("mlp-relu", "activation", {"new": "gelu"}),
    ("mlp-relu", "activation", {"new": "prelu", "mode": "blend"}),
    ("mlp-relu", "activation", {"new": "taaf", "mode": "plain"}),
    ("mlp-relu", "activation", {"new": "ensemble"}),
    ("cnn", "activation", {"new": "series", "settings": "spatial=true"}),
    ("mlp-relu+dead-units", "revive", {}),
    ("mlp-relu+dead-units", "prune", {}),
    ("cnn-bn+dead-units", "prune", {}),
    ("mlp-tanh+saturated-units", "desaturate", {}),
    ("cnn-bn+frozen-statistics", "reestimate-bn", {}),
    *(("mlp-relu", "norm", {"kind": kind}) for kind in ("batch", "mean", "layer", "rms", "weight")),
    ("cnn", "norm", {"kind": "batch"}),
    ("mlp-relu", "dropout", {"share": 0.2}),
    ("mlp-relu", "split", {"count": 2, "share": 0.3}),
    ("mlp-relu", "add-units", {"count": 3}),
    *(
        ("mlp-relu", "init", {"rule": rule})
        for rule in ("auto", "he", "orthogonal", "lsuv", "data-dependent")
    ),
    ("resnet20", "init", {"rule": "zero-residual"}),
    ("resnet20", "residual-scale", {"scale": 0.2}),
    ("resnet20", "residual-scale", {"scale": 0.2, "per_channel": True}),
    ("rnn", "spectral-radius", {"radius": 0.8}),
    ("rnn", "gated", {"kind": "lstm"}),
    ("rnn", "gated", {"kind": "gru"}),
    ("cnn", "fractional-pool", {}),
    ("mlp-relu", "temperature", {}),
    ("mlp-relu", "temperature", {"value": 1.5}),
    ("mlp-relu", "scale-input", {}),
    ("cnn", "scale-input", {"kind": "min-max"}),
    ("mlp-relu+softmax-twice", "remove-softmax", {}),
    ("cnn", "fold-input", {"mean": (0.3,), "std": (0.4,), "scale": 1 / 16}),
)


def opened(spec: str, device: torch.device | str) -> Subject:
    return open_subject(Request(model=f"models:{spec}", device=str(device)))


def test_every_operation_is_tried() -> None:
    assert {operation for _, operation, _ in CASES} == set(operations)


@pytest.mark.parametrize(("spec", "operation", "settings"), CASES, ids=str)
def test_networks_are_changed_alike(
    device: torch.device, spec: str, operation: str, settings: dict[str, Any]
) -> None:
    before = opened(spec, device)
    there = applied(before, operation, **settings)
    here = applied(opened(spec, "cpu"), operation, **settings)
    assert there.subject.device == device
    assert {value.device for value in there.subject.tensors.values()} == {device}
    assert [replace(swap, difference=None) for swap in there.swaps] == [
        replace(swap, difference=None) for swap in here.swaps
    ]
    for name, value in here.subject.tensors.items():
        found = there.subject.tensors[name]
        torch.testing.assert_close(found.cpu(), value, rtol=1e-4, atol=1e-5)
    module = there.module.to(device)
    inputs = example_of(there.subject)
    with torch.no_grad():
        torch.testing.assert_close(module(*inputs), there.subject.running.run(inputs))
    assert digest(before.state) == before.digest  # it stays as it is
