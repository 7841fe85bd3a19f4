"""What a file alone cannot show: other types, tied tensors, names that a trainer made longer."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dnnrepair.bits import identical
from dnnrepair.errors import PatchError
from dnnrepair.loading import load
from dnnrepair.patch import Patch
from dnnrepair.patches.file import write_patch
from dnnrepair.saving import Held
from tests.patches.forms import plain, run


@pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_files_of_other_types(kind: torch.dtype, suffix: str, tmp_path: Path) -> None:
    state = {"fc.weight": torch.randn(4, 3).to(kind), "odd": torch.randn(2).to(kind)}
    path, out = tmp_path / f"m{suffix}", tmp_path / "out"
    save_file(state, path) if suffix != ".pt" else torch.save(state, path)
    new = state["fc.weight"].clone()
    new[0, 0] += 1
    write_patch(tmp_path / "x.patch", Patch.of(state, {"fc.weight": new}))
    run(path, [tmp_path / "x.patch"], out)
    assert identical(load(str(out)).state["fc.weight"], new)


def tied() -> nn.Module:
    first, second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
    second.weight = first.weight
    return nn.Sequential(first, nn.ReLU(), second)


def test_tied_tensors_stay_tied(tmp_path: Path) -> None:
    module, path, out = tied(), tmp_path / "m.pt", tmp_path / "out.pt"
    torch.save(module.state_dict(), path)
    state = {
        "0.weight": module.get_parameter("0.weight").detach().clone()
    }  # as the network names it
    write_patch(tmp_path / "x.patch", Patch.of(state, {"0.weight": state["0.weight"] + 1}))
    run(path, [tmp_path / "x.patch"], out)
    found = plain(out)
    assert torch.equal(found["0.weight"], state["0.weight"] + 1)
    assert found["0.weight"].data_ptr() == found["2.weight"].data_ptr()
    both = dict(module.state_dict())
    write_patch(tmp_path / "y.patch", Patch.of(both, {"0.weight": both["0.weight"] + 1}))
    with pytest.raises(PatchError, match="one and the same in this file"):
        run(path, [tmp_path / "y.patch"], out)


ARCH = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
        self.register_buffer("offset", torch.ones(2), persistent=False)

    def forward(self, x):
        return self.fc(x) + self.offset
"""


@pytest.mark.parametrize("kind", [torch.float32, torch.float16])
@pytest.mark.parametrize("prefix", ["", "model."])
def test_networks_that_only_their_architecture_shows(
    prefix: str, kind: torch.dtype, tmp_path: Path
) -> None:
    (tmp_path / "arch_of_patch.py").write_text(ARCH)
    arch, path = f"{tmp_path / 'arch_of_patch.py'}:Net", tmp_path / "m.ckpt"
    stored = {
        f"{prefix}fc.weight": torch.arange(6.0).reshape(2, 3).to(kind),
        f"{prefix}fc.bias": torch.zeros(2, dtype=kind),
    }
    torch.save({"state_dict": stored, "epoch": 1}, path)
    state = dict(load(str(path), arch=arch).state)
    new = state["fc.weight"] + 0.5
    write_patch(tmp_path / "x.patch", Patch.of(state, {"fc.weight": new}))
    with pytest.raises(PatchError, match="with the same --arch"):
        run(path, [tmp_path / "x.patch"], tmp_path / "out")
    run(path, [tmp_path / "x.patch"], tmp_path / "out", arch=arch)
    found = plain(tmp_path / "out")["state_dict"]
    assert identical(found[f"{prefix}fc.weight"], new.to(kind))
    fine = state["fc.weight"] + 1e-6
    write_patch(tmp_path / "fine.patch", Patch.of(state, {"fc.weight": fine}))
    if kind == torch.float16:
        with pytest.raises(PatchError, match="cannot hold the patched numbers"):
            run(path, [tmp_path / "fine.patch"], tmp_path / "out", arch=arch)


def test_numbers_that_repeat_in_memory(tmp_path: Path) -> None:
    state = {"w": torch.zeros(1).expand(4), "v": torch.zeros(2)}
    buffer = io.BytesIO()
    torch.save(state, buffer)
    (tmp_path / "m.pt").write_bytes(buffer.getvalue())
    write_patch(tmp_path / "x.patch", Patch.of(state, {"w": torch.ones(4)}))
    with pytest.raises(PatchError, match="repeats numbers in memory"):
        run(tmp_path / "m.pt", [tmp_path / "x.patch"], tmp_path / "out")


def test_a_name_that_could_mean_two_tensors_is_refused() -> None:
    tensors = {f"{word}.fc.bias": torch.zeros(2) for word in ("encoder", "decoder")}
    held = Held(name="m.pt", form="state dict", tensors=tensors, write=Path.touch)
    with pytest.raises(PatchError, match=r"does not hold 'fc\.bias'"):
        held.change("fc.bias", torch.zeros(2), torch.ones(2))
    held.change("decoder.fc.bias", torch.zeros(2), torch.ones(2))
    assert tensors["encoder.fc.bias"].tolist() == [0, 0]
    assert tensors["decoder.fc.bias"].tolist() == [1, 1]
