"""The interpreter against eager torch: same numbers, nothing mutated, everything watched."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.export import export_module, from_module
from dnnrepair.program import GraphProgram
from dnnrepair.sites import Kind


class Tangled(nn.Module):
    """Functional activations, a reused module, two inputs, in-place writes, a dict output."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(64, 64)
        self.act = nn.LeakyReLU(0.2, inplace=True)
        self.out = nn.Linear(64, 3)
        self.unused = nn.Linear(2, 2)
        self.scale = nn.Parameter(torch.ones(64, 64))

    def forward(self, image: Tensor, extra: Tensor) -> dict[str, Tensor]:
        x = F.relu(self.norm(self.conv(image))).flatten(1)
        x = F.max_pool1d(x.unsqueeze(1), 4).squeeze(1)
        x = self.act(self.fc(x))
        x = self.act(self.fc(x))
        x = x @ self.scale
        x += extra
        x = torch.clamp(x, min=0)
        x[:, 0] = 1.0
        return {"aux": x, "logits": self.out(x)}


class Sequence(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 8, padding_idx=0)
        self.rnn = getattr(nn, kind)(8, 6, batch_first=True)
        self.head = nn.Linear(6, 4)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        states, _ = self.rnn(self.embedding(tokens))
        return self.head(states[:, -1]), states


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.1)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.encoder(x).mean(1))
        return y


def image_inputs(count: int) -> tuple[Tensor, ...]:
    return torch.randn(count, 1, 8, 8), torch.randn(count, 64)


CASES: dict[str, tuple[Any, Any]] = {
    "tangled": (Tangled, image_inputs),
    "lstm": (lambda: Sequence("LSTM"), lambda n: (torch.randint(0, 11, (n, 5)),)),
    "gru": (lambda: Sequence("GRU"), lambda n: (torch.randint(0, 11, (n, 5)),)),
    "rnn": (lambda: Sequence("RNN"), lambda n: (torch.randint(0, 11, (n, 5)),)),
    "attention": (Attention, lambda n: (torch.randn(n, 6, 8),)),
}


def eager(module: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    result: Any = module(*inputs)
    if isinstance(result, dict):
        result = result["logits"]
    first: Tensor = result[0] if isinstance(result, tuple) else result
    return first


def program_and_inputs(name: str, count: int = 7) -> tuple[nn.Module, GraphProgram, Any]:
    torch.manual_seed(0)
    make, inputs = CASES[name]
    module = make().eval()
    return module, GraphProgram.of(export_module(module, inputs(3))), inputs(count)


@pytest.mark.parametrize("name", CASES)
def test_a_program_answers_as_the_module_does(name: str) -> None:
    module, program, inputs = program_and_inputs(name)
    before = [x.clone() for x in inputs]
    torch.testing.assert_close(program.run(inputs), eager(module, inputs))
    for x, y in zip(inputs, before, strict=True):
        assert torch.equal(x, y)


@pytest.mark.parametrize("name", CASES)
def test_gradients_equal_eager_autograd(name: str) -> None:
    module, program, inputs = program_and_inputs(name)
    eager(module, inputs).square().sum().backward()
    leaves = {
        n: v.detach().requires_grad_() for n, v in program.tensors.items() if n in program.trainable
    }
    program.run(inputs, tensors=leaves).square().sum().backward()
    for key, parameter in module.named_parameters():
        if parameter.grad is None:
            assert leaves[key].grad is None
        else:
            torch.testing.assert_close(leaves[key].grad, parameter.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_training_mode_changes_no_buffer(name: str) -> None:
    _, program, inputs = program_and_inputs(name)
    before = {key: value.clone() for key, value in program.tensors.items()}
    program.run(inputs, training=True)
    for key, value in program.tensors.items():
        assert torch.equal(value, before[key]), key


def test_training_mode_normalizes_by_the_batch() -> None:
    module = nn.Sequential(nn.BatchNorm1d(3))
    module.eval()
    x = torch.randn(50, 3) * 4 + 2
    program = GraphProgram.of(export_module(module, (x,)))
    trained = program.run((x,), training=True)
    torch.testing.assert_close(trained.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(program.run((x,)), module(x))


def test_sites_name_layers_lines_and_calls() -> None:
    _, program, _ = program_and_inputs("tangled")
    by_layer = {site.layer: site for site in program.sites if site.tensors}
    assert {"conv", "norm", "fc", "fc#2", "out"} <= set(by_layer)
    assert by_layer["conv"].where is not None
    assert by_layer["conv"].where.startswith("tests/test_program.py:")
    relu = next(site for site in program.sites if site.op == "relu")
    assert relu.layer == "norm"
    assert relu.kind is Kind.ACTIVATION
    assert relu.unit_dim == 1
    assert program.sites.output == by_layer["out"].name
    assert not program.infos["unused.weight"].used
    assert program.infos["scale"].fan_in == 64


def test_a_watch_sees_pre_activations_even_of_in_place_activations() -> None:
    _, program, inputs = program_and_inputs("tangled")
    seen: dict[str, Tensor] = {}

    def watch(site: Any, arguments: Any, value: Any) -> None:
        if site.op == "leaky_relu":
            seen[site.name] = arguments["input"].clone()
            torch.testing.assert_close(value, F.leaky_relu(arguments["input"], 0.2))

    program.run(inputs, watch=watch)
    assert len(seen) == 2
    assert all(bool((z < 0).any()) for z in seen.values())


@given(layer=st.sampled_from(["conv", "fc", "out"]), factor=st.floats(-2, 2))
def test_a_watch_can_replace_a_value(layer: str, factor: float) -> None:
    module, program, inputs = program_and_inputs("tangled", 3)

    def hook(_module: Any, _inputs: Any, value: Any) -> Any:
        return value * factor

    handle = module.get_submodule(layer).register_forward_hook(hook)
    wanted = eager(module, inputs)
    handle.remove()
    names = {
        s.name
        for s in program.sites
        if s.layer.partition("#")[0] == layer and s.kind is Kind.AFFINE
    }

    def scale(site: Any, _arguments: Any, value: Any) -> Any:
        return value * factor if site.name in names else None

    found = program.run(inputs, watch=scale)
    torch.testing.assert_close(found, wanted)


def test_other_values_stand_in_for_tensors() -> None:
    module, program, inputs = program_and_inputs("attention")
    weight = torch.randn_like(program.tensors["head.weight"])
    found = program.run(inputs, tensors={"head.weight": weight})
    wanted = torch.func.functional_call(module, {"head.weight": weight}, inputs)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(program.with_tensors({"head.weight": weight}).run(inputs), wanted)


def test_the_batch_size_stays_free() -> None:
    _, program, _ = program_and_inputs("lstm")
    for count in (1, 2, 33):
        assert len(program.run((torch.randint(0, 11, (count, 5)),))) == count


def test_from_module_leaves_the_module_as_found() -> None:
    module = Tangled()
    module.norm.eval()  # a mixed mode must survive
    state = {key: value.clone() for key, value in module.state_dict().items()}
    random = torch.random.get_rng_state()
    from_module(module, image_inputs_fixed(3))
    assert module.training
    assert not module.norm.training
    assert torch.equal(random, torch.random.get_rng_state())
    assert all(torch.equal(state[key], value) for key, value in module.state_dict().items())


def image_inputs_fixed(count: int) -> tuple[Tensor, ...]:
    return torch.ones(count, 1, 8, 8), torch.ones(count, 64)
