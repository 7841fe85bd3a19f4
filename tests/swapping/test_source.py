"""The code that is written for a network is readable, complete, and needs torch only."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.errors import ModelError
from dnnrepair.subject import subject_of
from dnnrepair.swapping.draft import Draft
from dnnrepair.swapping.driver import swap
from dnnrepair.swapping.plan import planned
from dnnrepair.swapping.saving import save_swapped
from dnnrepair.swapping.source import module_of, source_of
from tests.swapping.small import reference, rng

if TYPE_CHECKING:
    from pathlib import Path


class Tangled(nn.Module):
    """Ties weights, writes in place, indexes, and returns more than one value."""

    table: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.second = nn.Linear(6, 6)
        self.second.weight = self.first.weight
        self.unused = nn.Linear(2, 2)
        self.norm = nn.BatchNorm1d(6)
        self.frozen = nn.Parameter(torch.ones(6), requires_grad=False)
        self.register_buffer("table", torch.arange(6.0), persistent=False)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = self.first(x)
        F.relu_(y)
        y = self.norm(F.dropout(y, 0.5, self.training)) * self.frozen + torch.tensor(2.0)
        y = F.elu(y, 0.5) - self.table[None, :]
        z = torch.clamp(self.second(y[:, :6]), min=-3.0).softmax(-1) / 2
        return {"hidden": y.view(-1, 2, 3), "logits": torch.cat([z[:, 3:], z[:, :3]], dim=1)}


def tangled() -> tuple[Tangled, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Tangled().eval(), torch.randn(20, 6)


def test_a_tangled_network_is_written_out() -> None:
    module, x = tangled()
    draft = Draft.of(subject_of(module, (x, torch.arange(20) % 6)).running)
    written = module_of(draft)
    with torch.no_grad():
        hidden, logits = written(x)
        expected = module(x)
    assert torch.equal(hidden, expected["hidden"])
    assert torch.equal(logits, expected["logits"])
    assert written.get_parameter("first.weight") is written.get_parameter("second.weight")
    assert not written.get_parameter("frozen").requires_grad
    assert set(module.state_dict()) <= set(written.state_dict())
    text = source_of(draft)
    assert "dnnrepair" not in text.partition("class Net")[2]
    assert "torch.ops" not in text.replace("torch.ops.aten.lift_fresh_copy", "").replace(
        "torch.ops.aten.detach", ""
    )


@pytest.mark.parametrize("name", ["self", "members", "name", "lambda", "0"])
def test_members_may_have_any_name(name: str) -> None:
    inner, outer = nn.Module(), nn.Linear(3, 2)
    inner.add_module("outer", outer)
    outer.add_module(name, nn.Linear(3, 3))

    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = inner

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = outer(outer.get_submodule(name)(x).relu())
            return y

    module = Named().eval()
    x = torch.randn(8, 3, generator=rng())
    written = module_of(Draft.of(subject_of(module, (x, torch.arange(8) % 2)).running))
    assert set(written.state_dict()) == set(module.state_dict())
    with torch.no_grad():
        assert torch.equal(written(x), module(x))


def test_batch_norm_and_dropout_follow_the_mode_of_the_module() -> None:
    module, x = tangled()
    written = module_of(Draft.of(subject_of(module, (x, torch.arange(20) % 6)).running)).train()
    before = written.get_buffer("norm.running_mean").clone()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        one = written(x)[1]
        two = written(x)[1]
        torch.manual_seed(1)
        expected = copy.deepcopy(module).train()(x)["logits"]
    assert not torch.equal(one, two)
    assert torch.equal(one, expected)
    assert not torch.equal(before, written.get_buffer("norm.running_mean"))
    copied = copy.deepcopy(written).eval()
    assert torch.equal(copied(x)[1], copied(x)[1])


def test_gradients_are_those_of_the_original() -> None:
    module, x = tangled()
    written = module_of(Draft.of(subject_of(module, (x, torch.arange(20) % 6)).running))
    written(x)[1].square().sum().backward()
    module(x)["logits"].square().sum().backward()
    for name, value in module.named_parameters():
        if value.grad is not None:
            found = written.get_parameter(name).grad
            assert found is not None
            assert torch.allclose(found, value.grad, atol=1e-6)


def test_the_layers_read_as_a_person_would_write_them() -> None:
    text = source_of(
        Draft.of(reference("cnn").running), ("A network.", 'with "quotes" \\ and \x1b')
    )
    assert "self.conv1 = Holder(weight=parameter(16, 1, 3, 3), bias=parameter(16))" in text
    assert "F.conv2d(x, self.conv1.weight, self.conv1.bias, padding=[1, 1])" in text
    assert "F.max_pool2d(relu, kernel_size=[2, 2])" in text
    assert "\x1b" not in text


def test_control_flow_is_refused() -> None:
    class Guarded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = torch.cond(x.sum() > 0, self.layer, lambda v: self.layer(v) * 2, (x,))
            return y

    subject = subject_of(Guarded(), torch.randn(8, 3))
    with pytest.raises(ModelError, match=r"control flow|could not be exported"):
        Draft.of(subject.running)


ALONE = """
import sys
sys.modules["dnnrepair"] = None  # no import of it can succeed
import torch
from safetensors.torch import load_file
x, y = torch.load("expected.pt", weights_only=True)
sys.path.insert(0, ".")
import one, two
first, second = one.Net(), two.Net()
first.load_state_dict(torch.load("one.pt", weights_only=True))
second.load_state_dict(load_file("two.safetensors"))
third = torch.export.load("three.pt2").module()
with torch.no_grad():
    for net in (first.eval(), second.eval(), third):
        assert torch.equal(net(x), y), (net(x) - y).abs().max()
try:
    import dnnrepair
except ImportError:
    print("alone")
"""


WRITTEN: tuple[tuple[str, dict[str, list[str]], str], ...] = (
    ("cnn-bn", {"activation": ["relu=prelu"], "norm": ["layer:conv2"]}, "relu became prelu after"),
    ("cnn", {"norm": ["mean:conv1", "weight:conv1"]}, "mean normalization put after conv1"),
    ("cnn", {"activation": ["relu=series,spatial=true"]}, "relu became series after conv1"),
    ("cnn", {"fractional-pool": ["0.5"]}, "max pooling became fractional after conv1"),
    (
        "cnn",
        {"split": ["2"], "add-units": ["3:conv*"]},
        "in each of conv1, conv2, fc units split in two: 2",
    ),
    ("cnn", {"activation": ["relu=ensemble"]}, "relu became ensemble after conv1"),
)


@pytest.mark.parametrize(("name", "asked", "said"), WRITTEN, ids=[said for *_, said in WRITTEN])
def test_plain_torch_loads_what_is_written(
    tmp_path: Path, name: str, asked: dict[str, list[str]], said: str
) -> None:
    outcome = swap(reference(name), planned(asked))
    for file in ("one.pt", "two.safetensors", "three.pt2"):
        save_swapped(outcome, tmp_path / file)
    x = torch.randn(5, 1, 8, 8, generator=rng())
    with torch.no_grad():
        torch.save((x, outcome.swapped.subject.running.run([x])), tmp_path / "expected.pt")
    done = subprocess.run(
        [sys.executable, "-c", ALONE], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == "alone\n", done.stderr
    code = (tmp_path / "one.py").read_text()
    assert code.startswith(f'"""The network {name}, changed by dnnrepair; needs torch only.')
    assert f"- {said}" in code
