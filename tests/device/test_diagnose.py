"""The same findings on a device as on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.data import samples_of
from dnnrepair.diagnose import diagnose
from dnnrepair.models import build
from dnnrepair.request import Request
from dnnrepair.selection import choose_rules
from dnnrepair.subject import assemble, loaded_module, open_subject, subject_of

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


class Branching(nn.Module):
    """A network that torch.export refuses, with tensors that are made on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8, 12), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.relu(self.first(x)) * torch.linspace(0, 1, 12, device=x.device)
        if hidden.sum() > 0:
            hidden = hidden * 1.5
        y: Tensor = self.last(hidden)
        return y


class Tied(nn.Module):
    """Two names of one weight, positions that are counted and a mask that is made on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(11, 6), nn.Embedding(9, 6)
        self.head = nn.Linear(6, 11, bias=False)
        self.head.weight = self.words.weight
        self.register_buffer("scale", torch.tensor([2.0]))

    def forward(self, tokens: Tensor) -> Tensor:
        places = torch.arange(tokens.shape[1], device=tokens.device)
        x = (self.words(tokens) + self.places(places)) * self.scale
        mask = torch.zeros(tokens.shape[1], 1, device=tokens.device)
        y: Tensor = self.head(torch.tanh(x + mask).mean(1))
        return y


@pytest.mark.parametrize("moved", ["module", "program"])
def test_networks_that_make_tensors_on_the_way(device: torch.device, moved: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        cases: tuple[tuple[nn.Module, Tensor], ...] = (
            (Branching(), torch.randn(64, 8)),
            (Tied(), torch.randint(0, 11, (64, 9))),
        )
    for module, inputs in cases:
        answer = module(inputs).detach()
        data = (inputs, answer.argmax(1))
        here = subject_of(module, data, task="classify")
        wanted = codes(here)
        if moved == "module":
            module.to(device)
            if isinstance(module, Tied):  # torch unties them on their way to an emulated device
                module.head.weight = module.words.weight
            there = subject_of(module, data, task="classify")
        else:
            request = Request(model="net", device=str(device), task="classify")
            there = assemble(loaded_module(module, "net"), samples_of(data), request)
        assert there.device == device
        found = there.running.run([inputs.to(device)])
        torch.testing.assert_close(found.detach().cpu(), answer, rtol=1e-4, atol=1e-5)
        assert codes(there) == wanted
        if isinstance(module, Tied):
            tied = [there.tensors[name] for name in ("words.weight", "head.weight")]
            assert tied[0].data_ptr() == tied[1].data_ptr()
