"""Whatever people pass by mistake gets one line that names it and says what to do."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dnnrepair.errors import ModelError
from dnnrepair.loading import load

STRANGERS = {
    b"": "empty",
    b"just some words\n": "a text file",
    b'{"a": 1}': "JSON",
    b"<!DOCTYPE html><html>Sign in": "HTML page",
    b"version https://git-lfs.github.com/spec/v1\noid": "git lfs pull",
    b"GGUF\x03\0\0\0": "GGUF",
    b"\x89HDF\r\n\x1a\n": "Keras",
    b"\x08\x07\x12\x04onnx": "ONNX file, which is not supported yet",
    b"\x1c\0\0\0TFL3": "no format|TensorFlow",
    b"\x1f\x8b\x08": "gzip",
    b"\x7fELF\x02": "shared library",
    b"\x01\x02\x03\xff\xfe": "no format",
}


def fails(path: Path, match: str) -> None:
    with pytest.raises(ModelError, match=match) as error:
        load(str(path))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", STRANGERS)
def test_strangers_are_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    fails(path, STRANGERS[content])


def test_missing_file_and_directory(tmp_path: Path) -> None:
    fails(tmp_path / "nothing.pt", "no such file")
    fails(tmp_path, r"directory without config\.json")


def test_data_given_as_a_network(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.ones(3))
    fails(tmp_path / "d.npz", "--data")
    torch.save(torch.ones(3), tmp_path / "t.pt")
    fails(tmp_path / "t.pt", "single tensor")


def test_files_without_a_network(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "x")
    fails(tmp_path / "a.zip", "without a torch network")
    torch.save({"epoch": 3, "optimizer": {"lr": 0.1}}, tmp_path / "o.pt")
    fails(tmp_path / "o.pt", "no state dict in it .*'epoch', 'optimizer'")
    torch.save({}, tmp_path / "e.pt")
    fails(tmp_path / "e.pt", "empty dict")
    both = {"encoder": {"w": torch.ones(1)}, "decoder": {"w": torch.ones(1)}}
    torch.save(both, tmp_path / "b.pt")
    fails(tmp_path / "b.pt", "several networks .decoder, encoder")
    torch.save({"w": torch.ones(2, device="meta")}, tmp_path / "m.pt")
    fails(tmp_path / "m.pt", "no values")


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9, 0.99])
def test_truncated_files(kept: float, network: nn.Module, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    whole = tmp_path / "whole"
    for save in (torch.save, save_file):
        save(network.state_dict(), whole)
        content = whole.read_bytes()
        path = tmp_path / "cut.pt"
        path.write_bytes(content[: int(len(content) * kept)])
        fails(path, "damaged|cut short|no format|text file")


def test_an_architecture_for_a_file_that_has_one(network: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "m.pt2"
    torch.export.save(torch.export.export(network, (torch.ones(2, 4),)), path)
    with pytest.raises(ModelError, match="leave out --arch"):
        load(str(path), arch="models:cnn")
