"""Hugging Face folders: their files are known, transformers itself is an extra."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from dnnrepair.bits import identical
from dnnrepair.errors import ModelError, PatchError
from dnnrepair.files import OutputError
from dnnrepair.loading import load
from dnnrepair.patch import Patch
from dnnrepair.patches.file import write_patch
from tests.patches.forms import STATE, State, network, patched, plain, run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "hub"
    (path / "onnx").mkdir(parents=True)
    (path / "config.json").write_text(json.dumps({"architectures": ["TinyModel"]}))
    (path / "tokenizer.json").write_text("{}")
    (path / "modeling.py").write_text("raise SystemExit('this must never run')")
    (path / "onnx" / "model.safetensors").write_text("not ours")
    return path


def one_file(path: Path) -> None:
    save_file(STATE, path / "model.safetensors", {"format": "pt"})


def shards(path: Path) -> None:
    halves = list(STATE)[:4], list(STATE)[4:]
    names = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    for name, half in zip(names, halves, strict=True):
        save_file({key: STATE[key] for key in half}, path / name, {"format": "pt"})
    listed = {k: n for n, half in zip(names, halves, strict=True) for k in half}
    index = {"metadata": {}, "weight_map": listed}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))


def old_file(path: Path) -> None:
    torch.save(STATE, path / "pytorch_model.bin")


def contents(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


@pytest.mark.parametrize("fill", [one_file, shards, old_file])
def test_hugging_face_folders(fill: Callable[[Path], None], folder: Path, tmp_path: Path) -> None:
    fill(folder)
    before = contents(folder)
    patch, new = patched(STATE)
    write_patch(tmp_path / "x.patch", patch)
    there, back = tmp_path / "there", tmp_path / "back"
    run(folder, [tmp_path / "x.patch"], there)
    after = contents(there)
    assert set(after) == set(before)
    assert {name for name in before if before[name] != after[name]} == {
        name for name in before if name.endswith((".safetensors", ".bin")) and "onnx" not in name
    }
    found: State = {}
    for file in there.glob("*.*"):
        if file.suffix in {".safetensors", ".bin"}:
            found |= load_file(file) if file.suffix == ".safetensors" else plain(file)
    assert identical(found["4.weight"], new)
    run(there, [tmp_path / "x.patch"], back, back=True)
    if fill is not old_file:
        assert contents(back) == before
    assert contents(folder) == before
    assert {p.name for p in tmp_path.iterdir()} == {"hub", "there", "back", "x.patch"}


class PreTrainedModel(nn.Module):
    """What transformers' models have in common, with names and buffers that the file lacks."""

    def __init__(self) -> None:
        super().__init__()
        self.body = network()
        self.register_buffer("positions", torch.arange(3), persistent=False)
        self.config = ModuleType("config")

    @classmethod
    def from_pretrained(cls, path: str, **_: Any) -> PreTrainedModel:
        model = cls()
        model.body.load_state_dict(load_file(Path(path) / "model.safetensors"))
        return model


def test_folders_whose_names_differ_from_the_network(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_file(folder)
    module: Any = ModuleType("transformers")
    module.__version__, module.PreTrainedModel = "5", PreTrainedModel
    module.TinyModel = PreTrainedModel
    monkeypatch.setitem(sys.modules, "transformers", module)
    state = dict(load(str(folder)).state)
    assert set(state) == {f"body.{key}" for key in STATE} | {"positions"}
    new = state["body.4.weight"] * 2
    write_patch(tmp_path / "x.patch", Patch.of(state, {"body.4.weight": new}))
    run(folder, [tmp_path / "x.patch"], tmp_path / "out")
    assert identical(load_file(tmp_path / "out" / "model.safetensors")["4.weight"], new)
    hidden = Patch.of(state, {"positions": state["positions"] + 1})
    write_patch(tmp_path / "y.patch", hidden)
    with pytest.raises(PatchError, match="does not hold 'positions'"):
        run(folder, [tmp_path / "y.patch"], tmp_path / "no")


@pytest.mark.parametrize(
    ("index", "match"),
    [
        ("{", "no index"),
        ("[]", "no index"),
        ('{"weight_map": {"a": "../../secret"}}', "outside of the folder"),
        ('{"weight_map": {"a": ".."}}', "outside of the folder"),
        ('{"weight_map": {}}', "outside of the folder, or none"),
        ('{"weight_map": {"a": "missing.safetensors"}}', "no such file"),
    ],
)
def test_crafted_folders(index: str, match: str, folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors.index.json").write_text(index)
    write_patch(tmp_path / "x.patch", patched(STATE)[0])
    with pytest.raises(ModelError, match=match):
        run(folder, [tmp_path / "x.patch"], tmp_path / "out")


def test_links_in_folders_lead_nowhere(folder: Path, tmp_path: Path) -> None:
    one_file(folder)
    (folder / "round").symlink_to(folder)
    (folder / "gone").symlink_to(folder / "nothing")
    (folder / "real.json").symlink_to(folder / "tokenizer.json")
    write_patch(tmp_path / "x.patch", patched(STATE)[0])
    run(folder, [tmp_path / "x.patch"], tmp_path / "out")
    assert not (tmp_path / "out" / "round").exists()
    assert not (tmp_path / "out" / "real.json").is_symlink()


def test_folders_are_written_whole(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_file(folder)
    write_patch(tmp_path / "x.patch", patched(STATE)[0])
    for bad in (folder, folder / "inside", tmp_path / "x.patch", tmp_path, tmp_path / "a" / "b"):
        with pytest.raises(OutputError, match=r"cannot write|will not write"):
            run(folder, [tmp_path / "x.patch"], bad)
    full = OSError(28, "No space left on device")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(full))
    with pytest.raises(OutputError, match=r"cannot write .*/out: no space left on device"):
        run(folder, [tmp_path / "x.patch"], tmp_path / "out")
    assert {p.name for p in tmp_path.iterdir()} == {"hub", "x.patch"}
