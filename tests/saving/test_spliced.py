"""Tensors of many kinds are found in the bytes of their files."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dnnrepair.bits import identical
from dnnrepair.loading import load
from dnnrepair.saving import Held, hold


class Varied(nn.Module):
    """Attributes, buffers, layouts and sizes of many kinds, and one tensor under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 3)
        first, self.again = nn.Linear(3, 3), nn.Linear(3, 3)
        self.again.weight = first.weight
        self.inner = nn.ModuleList([first, nn.BatchNorm1d(3)])
        self.words = ["a", "b"]
        self.constant = torch.ones(2)
        self.small = nn.Parameter(torch.arange(12.0, dtype=torch.half).reshape(3, 4)[:, ::2])
        self.turned = nn.Parameter(torch.arange(6.0).reshape(2, 3).T)
        self.register_buffer("flags", torch.tensor([True, False]))
        self.register_buffer("empty", torch.zeros(0, 3))
        self.count = nn.Buffer(torch.tensor(3))
        self.offset = nn.Buffer(torch.arange(3.0), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.lstm(x)[0].sum(0)
        for layer in self.inner:
            y = layer(y)
        z: torch.Tensor = self.again(y) + self.turned.sum() + self.small.sum()
        return z + self.offset + self.count


def write_script(module: nn.Module, path: Path) -> None:
    torch.jit.script(module).save(str(path))


def write_exported(module: nn.Module, path: Path) -> None:
    torch.export.save(torch.export.export(module, (torch.randn(5, 2, 4),)), path)


def write_safetensors(_: nn.Module, path: Path) -> None:
    kinds = (torch.float64, torch.bfloat16, torch.int8, torch.bool, torch.uint8, torch.int64)
    tensors = {str(kind): torch.arange(5).to(kind) for kind in kinds}
    save_file({**tensors, "empty": torch.zeros(0, 2), "scalar": torch.tensor(2.0)}, path)


def held(write: Any, path: Path) -> Held:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        write(Varied().eval(), path)
    return hold(str(path))


@pytest.mark.filterwarnings("ignore")  # torch deprecates its own script
@pytest.mark.parametrize("write", [write_script, write_exported, write_safetensors])
def test_each_tensor_can_be_changed_alone(write: Any, tmp_path: Path) -> None:
    path = tmp_path / "m"
    tensors = held(write, path).tensors
    state = {k: v.clone() for k, v in load(str(path)).state.items()}
    assert tensors.keys() == state.keys()
    for name, value in state.items():
        changed = hold(str(path))
        new = ~value if value.dtype == torch.bool else value + 1
        changed.change(name, value, new)
        changed.write(tmp_path / "out")
        found = load(str(tmp_path / "out")).state
        for other in found:
            tied = {"inner.0.weight", "again.weight"} >= {other, name}
            expected = new if other == name or tied else state[other]
            assert identical(found[other], expected), (name, other)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("write", [write_script, write_exported])
def test_archives_are_laid_out_as_torch_does(write: Any, tmp_path: Path) -> None:
    held(write, tmp_path / "m").write(tmp_path / "out")
    content = (tmp_path / "out").read_bytes()
    with zipfile.ZipFile(tmp_path / "m") as before, zipfile.ZipFile(tmp_path / "out") as after:
        assert after.namelist() == before.namelist()
        assert after.testzip() is None
        for one, two in zip(before.infolist(), after.infolist(), strict=True):
            assert before.read(one) == after.read(two)
            assert one.compress_type == two.compress_type
            name, extra = (
                int.from_bytes(content[two.header_offset + at :][:2], "little") for at in (26, 28)
            )
            assert (two.header_offset + 30 + name + extra) % 64 == 0
