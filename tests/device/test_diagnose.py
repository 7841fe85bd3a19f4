"""The same findings on a device as on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from dnnrepair.diagnose import diagnose
from dnnrepair.models import build
from dnnrepair.request import Request
from dnnrepair.selection import choose_rules
from dnnrepair.subject import open_subject, subject_of

if TYPE_CHECKING:
    from dnnrepair.subject import Subject

NETWORKS = (
    *("mlp-relu+dead-units", "mlp-tanh+saturated-units", "cnn-bn+frozen-statistics", "resnet20"),
    *("lstm", "gru", "rnn+strong-recurrence", "transformer", "regressor", "dcgan"),
)


def codes(subject: Subject) -> set[tuple[str, str]]:
    report = diagnose(subject, choose_rules((), (), {}))
    found = [f for root in report.findings for f in (root, *root.consequences)]
    return {(f.code, f.layer) for f in found}


@pytest.mark.parametrize("spec", NETWORKS)
def test_findings_are_those_of_the_cpu(device: torch.device, spec: str) -> None:
    there = open_subject(Request(model=f"models:{spec}", device=str(device)))
    assert there.device == device
    assert codes(there) == codes(open_subject(Request(model=f"models:{spec}")))


@pytest.mark.parametrize("spec", ["mlp-relu", "lstm", "transformer"])
def test_a_live_network_stays_where_it_is(device: torch.device, spec: str) -> None:
    reference = build(spec, seed=0)
    module = reference.module.to(device)
    subject = subject_of(module, (*reference.inputs, reference.targets), task=reference.task)
    assert subject.device == device
    assert codes(subject) == codes(open_subject(Request(model=f"models:{spec}")))
    assert {p.device for p in module.parameters()} == {device}


def test_a_device_without_a_number(device: torch.device) -> None:
    subject = open_subject(Request(model="models:mlp-relu", device=device.type))
    assert subject.device == device
