"""Each form of file, written by plain torch code, gives back the same tensors and answers."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dnnrepair.errors import ModelError
from dnnrepair.loading import Loaded, load

ARCH = "dnnrepair_test_arch.py:network"
SOURCE = """
from torch import nn
def network(width=5):
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 2))
def broken():
    raise RuntimeError("no\\nwidth")
class Wrong: ...
"""
SIZES = ({0: torch.export.Dim.DYNAMIC},)
X = torch.linspace(-1, 1, 12).reshape(3, 4)


@pytest.fixture
def arch(tmp_path: Path) -> str:
    (tmp_path / "dnnrepair_test_arch.py").write_text(SOURCE)
    return str(tmp_path / ARCH)


def same(loaded: Loaded, network: nn.Module) -> None:
    assert set(loaded.state) == set(network.state_dict())
    for key, value in network.state_dict().items():
        assert torch.equal(loaded.state[key], value)


Wrap = Callable[[dict[str, Any]], Any]
WRAPPINGS: dict[str, Wrap] = {
    "bare": lambda s: s,
    "state_dict": lambda s: {"state_dict": s, "epoch": 3},
    "model": lambda s: {"model": s, "optimizer": {"state": {0: {"step": torch.ones(1)}}}},
    "model_state_dict": lambda s: {"model_state_dict": s, "loss": torch.tensor(1.0)},
    "net": lambda s: {"net": s, "acc": 0.9},
    "ema": lambda s: {"ema": s},
    "params": lambda s: {"params": s},
    "deep": lambda s: {"checkpoint": {"model": s}, "args": {"lr": 0.1}},
    "list": lambda s: [s, {"epoch": 1}],
    "data parallel": lambda s: {f"module.{k}": v for k, v in s.items()},
    "compiled": lambda s: {f"_orig_mod.{k}": v for k, v in s.items()},
    "both": lambda s: {"model": {f"module._orig_mod.{k}": v for k, v in s.items()}},
    "averaged": lambda s: (
        {"n_averaged": torch.tensor(3)} | {f"module.{k}": v for k, v in s.items()}
    ),
    "lightning": lambda s: {"state_dict": {f"model.{k}": v for k, v in s.items()}, "epoch": 1},
    "own key": lambda s: {"generator_a": s, "step": 7},
}


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".th", ".tar", ".bin"])
@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_state_dicts_in_all_wrappings(
    wrapping: str, suffix: str, network: nn.Module, tmp_path: Path, arch: str
) -> None:
    path = tmp_path / f"model{suffix}"
    torch.save(WRAPPINGS[wrapping](dict(network.state_dict())), path)
    loaded = load(str(path), arch=arch)
    same(loaded, network)
    assert loaded.form == "state dict"
    assert loaded.module is not None
    assert not loaded.module.training
    assert torch.equal(loaded.module(X), network(X))
    assert loaded.trainable == frozenset(network.state_dict())


def test_the_format_before_torch_1_6(network: nn.Module, tmp_path: Path, arch: str) -> None:
    path = tmp_path / "m.pt"
    torch.save(network.state_dict(), path, _use_new_zipfile_serialization=False)
    same(load(str(path), arch=arch), network)


def test_safetensors(network: nn.Module, tmp_path: Path, arch: str) -> None:
    path = tmp_path / "named-wrongly.pt"
    save_file(network.state_dict(), path)
    loaded = load(str(path), arch=arch)
    same(loaded, network)
    assert loaded.form == "safetensors"


@pytest.mark.parametrize("length", range(60))
def test_safetensors_whatever_their_header_begins_with(length: int, tmp_path: Path) -> None:
    path, state = tmp_path / "m", {"fc.weight": torch.ones(2, 3)}
    save_file(state, path, {"note": "x" * length})
    assert load(str(path)).form == "safetensors"


@pytest.mark.filterwarnings("ignore")  # torch deprecates its own script and trace
@pytest.mark.parametrize("make", ["script", "trace", "freeze"])
def test_torchscript(make: str, network: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    script: Any = torch.jit.trace(network, X) if make == "trace" else torch.jit.script(network)
    if make == "freeze":
        script = torch.jit.freeze(script)
    script.save(str(path))
    loaded = load(str(path))
    assert loaded.form == "TorchScript"
    assert loaded.script is not None
    assert torch.equal(loaded.script(X), network(X))
    if make != "freeze":  # freezing makes constants of the weights
        same(loaded, network)


class Varied(nn.Module):
    """Attributes, buffers and sizes of many kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.lstm = nn.LSTM(4, 3)
        self.words = ["a", "b"]
        self.wide = {"a": 1}
        self.small = nn.Parameter(torch.zeros(3, 4, dtype=torch.half)[:, ::2])
        self.register_buffer("flags", torch.tensor([True, False]))
        self.register_buffer("empty", torch.zeros(0, 3))
        self.offset = nn.Buffer(torch.arange(3.0), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(torch.relu(self.conv(x))).mean((2, 3))
        z: torch.Tensor = self.lstm(y[None])[0]
        return z.sum(0) + self.offset


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", ["script", "pt2"])
def test_networks_with_many_kinds_of_tensors(form: str, tmp_path: Path) -> None:
    module, x = Varied().eval(), torch.randn(2, 1, 6, 6)
    path = tmp_path / "m"
    if form == "script":
        torch.jit.script(module).save(str(path))
    else:
        torch.export.save(torch.export.export(module, (x,), dynamic_shapes=SIZES), path)
    loaded = load(str(path))
    for key, value in module.state_dict().items():
        assert torch.equal(loaded.state[key], value)
    assert set(dict(module.named_buffers())) <= loaded.buffers
    run = loaded.script or (loaded.exported.module() if loaded.exported else None)
    assert run is not None
    torch.testing.assert_close(run(x), module(x))


def test_exported_program(network: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "m.pt2"
    torch.export.save(torch.export.export(network, (X,), dynamic_shapes=SIZES), path)
    loaded = load(str(path))
    same(loaded, network)
    assert loaded.form == "pt2"
    assert loaded.exported is not None
    assert torch.equal(loaded.exported.module()(X), network(X))
    nodes = [node for node in loaded.exported.graph.nodes if "linear" in str(node.target)]
    assert "linear.py" in nodes[0].meta["stack_trace"]


@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: {"model": m, "epoch": 2}])
def test_pickled_module_only_if_trusted(wrap: Any, network: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    torch.save(wrap(network), path)
    with pytest.raises(ModelError, match=r"asks for torch\.nn.*--trust-pickle"):
        load(str(path))
    loaded = load(str(path), trust_pickle=True)
    same(loaded, network)
    assert loaded.form == "pickled module"
    assert loaded.module is not None


def test_plain_pickle_only_if_trusted(network: nn.Module, tmp_path: Path, arch: str) -> None:
    path = tmp_path / "m.pkl"
    path.write_bytes(pickle.dumps(dict(network.state_dict())))
    with pytest.raises(ModelError, match="--trust-pickle"):
        load(str(path))
    same(load(str(path), trust_pickle=True, arch=arch), network)


def test_training_mode_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    torch.save(nn.Sequential(nn.Linear(2, 2), nn.Dropout()).train(), path)
    loaded = load(str(path), trust_pickle=True)
    assert loaded.module is not None
    assert not any(part.training for part in loaded.module.modules())
    assert "training mode" in loaded.notes[0]


def test_weights_only_without_architecture(network: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    torch.save({"state_dict": network.state_dict()}, path)
    loaded = load(str(path))
    same(loaded, network)
    assert loaded.module is None
    assert loaded.trainable is None
    assert "--arch auto:relu" in loaded.notes[-1]


def test_random_state_is_left_as_found(tmp_path: Path, network: nn.Module, arch: str) -> None:
    path = tmp_path / "m.pt"
    torch.save(network.state_dict(), path)
    before = torch.get_rng_state()
    load(str(path), arch=arch)
    load(str(path), arch="auto:relu")
    assert torch.equal(before, torch.get_rng_state())


DIFFERENT: dict[str, tuple[str, str]] = {
    ":network(6)": (
        "ModelError",
        r"2 wrong shape|3 wrong shape: '0.weight' is \(5, 4\) instead of \(6, 4\)",
    ),
    ":network(width=7)": ("ModelError", "wrong shape"),
    ":broken": ("ModelError", "broken raised RuntimeError: no"),
    ":Wrong": ("ModelError", "returned a Wrong, no nn.Module"),
    ":netwrk": ("ModelError", "did you mean 'network'"),
    ":network(os)": ("ModelError", "plain literals"),
    ":network(**{})": ("ModelError", "plain literals"),
}


@pytest.mark.parametrize("call", DIFFERENT)
def test_architectures_that_do_not_work(
    call: str, network: nn.Module, tmp_path: Path, arch: str
) -> None:
    path = tmp_path / "m.pt"
    torch.save(network.state_dict(), path)
    with pytest.raises(ModelError, match=DIFFERENT[call][1]) as error:
        load(str(path), arch=arch.removesuffix(":network") + call)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("arch", ["no_such_module:Net", "nothing", "none.py:Net", "models:nothing"])
def test_architectures_that_are_not_there(arch: str, network: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    torch.save(network.state_dict(), path)
    with pytest.raises(ModelError, match="--arch"):
        load(str(path), arch=arch)


def test_another_networks_state_dict_names_the_keys(
    network: nn.Module, tmp_path: Path, arch: str
) -> None:
    path = tmp_path / "m.pt"
    state = dict(network.state_dict())
    state["0.wait"] = state.pop("0.weight")
    torch.save(state, path)
    with pytest.raises(ModelError) as error:
        load(str(path), arch=arch)
    assert "missing: '0.weight' (5, 4) (is it '0.wait'?)" in str(error.value)
    assert "unexpected: '0.wait' (5, 4)" in str(error.value)


def test_a_reference_network_by_name(tmp_path: Path) -> None:
    from dnnrepair.models import build

    path = tmp_path / "m.pt"
    module = build("mlp-relu:init").module
    torch.save({k: v + 1 for k, v in module.state_dict().items()}, path)
    loaded = load(str(path), arch="models:mlp-relu")
    assert torch.equal(next(iter(loaded.state.values())), next(module.parameters()).detach() + 1)


def test_half_precision_is_converted_and_said(
    network: nn.Module, tmp_path: Path, arch: str
) -> None:
    path = tmp_path / "m.pt"
    torch.save({k: v.half() for k, v in network.state_dict().items()}, path)
    loaded = load(str(path), arch=arch)
    assert loaded.state["0.weight"].dtype == torch.float32
    assert any("float16" in note for note in loaded.notes)
