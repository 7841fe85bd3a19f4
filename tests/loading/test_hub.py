"""Hugging Face directories and timm names: stand-ins for libraries that are extras."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from dnnrepair.errors import ModelError, UntrustedError
from dnnrepair.loading import load


class PreTrainedModel(nn.Module):
    """What transformers' models have in common, as far as loading sees it."""

    asked: dict[str, Any]

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 2)
        self.config = ModuleType("config")

    @classmethod
    def from_pretrained(cls, path: str, **options: Any) -> PreTrainedModel:
        model = cls()
        model.asked = {"path": path, **options}
        return model


class TinyModel(PreTrainedModel):
    pass


@pytest.fixture
def transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("transformers")
    module.__version__ = "5"
    module.PreTrainedModel, module.TinyModel, module.pipeline = PreTrainedModel, TinyModel, len
    monkeypatch.setitem(sys.modules, "transformers", module)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.safetensors").write_bytes(b"")
    describe(tmp_path, architectures=["TinyModel"], auto_map={"AutoModel": "evil.py--Evil"})
    return tmp_path


def describe(folder: Path, **config: Any) -> None:
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.usefixtures("transformers")
def test_directory_without_remote_code(folder: Path) -> None:
    loaded = load(str(folder))
    assert loaded.form == "Hugging Face"
    assert isinstance(loaded.module, TinyModel)
    asked = loaded.module.asked
    assert asked["trust_remote_code"] is False
    assert asked["weights_only"] is True
    assert asked["use_safetensors"] is True
    assert asked["local_files_only"] is True
    assert asked["attn_implementation"] == "sdpa"
    assert loaded.module.config.use_cache is False
    assert not loaded.module.training


@pytest.mark.usefixtures("transformers")
@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({"architectures": ["Evil"]}, "no architecture Evil|no architecture 'Evil'"),
        ({"architectures": ["pipeline"]}, "no architecture 'pipeline'"),
        ({"architectures": ["os.system"]}, "names no architecture"),
        ({"architectures": []}, "names no architecture"),
        ({}, "names no architecture"),
        ({"architectures": ["TinyModel"], "quantization_config": {}}, "quantized"),
    ],
)
def test_directories_that_cannot_be_used(config: dict[str, Any], match: str, folder: Path) -> None:
    describe(folder, **config)
    with pytest.raises(ModelError, match=match):
        load(str(folder))


def test_attention_from_elsewhere_is_refused(folder: Path) -> None:
    nested = {"text_config": {"_attn_implementation": "kernels-community/evil"}}
    describe(folder, architectures=["TinyModel"], **nested)
    with pytest.raises(UntrustedError, match="fetches code"):
        load(str(folder))


def test_missing_extras_are_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ModelError, match=r"pip install 'dnnrepair\[hf\]'"):
        load(str(folder))
    with pytest.raises(ModelError, match=r"pip install 'dnnrepair\[timm\]'"):
        load("timm:resnet18")


def test_timm_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def create_model(name: str, *, pretrained: bool, num_classes: int = 3) -> nn.Module:
        asked.append((name, pretrained))
        return nn.Linear(2, num_classes)

    asked: list[tuple[str, bool]] = []
    timm: Any = ModuleType("timm")
    timm.is_model, timm.list_models = (lambda n: n == "tiny"), (lambda: ["tiny"])
    timm.create_model = create_model
    monkeypatch.setitem(sys.modules, "timm", timm)
    assert load("timm:tiny").form == "timm"
    with pytest.raises(ModelError, match="no network 'tinny'; near: tiny"):
        load("timm:tinny")
    torch.save(nn.Linear(2, 7).state_dict(), tmp_path / "m.pt")
    loaded = load(str(tmp_path / "m.pt"), arch="timm:tiny(num_classes=7)")
    assert loaded.module is not None
    assert asked == [("tiny", True), ("tiny", False)]
