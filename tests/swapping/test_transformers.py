"""A folder of transformers, changed in numbers and in structure; needs the extra ``hf``."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest
import torch

from dnnrepair.cli.main import run
from dnnrepair.loading.quiet import quiet

if TYPE_CHECKING:
    from pathlib import Path

WORDS, LENGTH, CLASSES = 60, 8, 3


@pytest.fixture
def folder(here: Path) -> Path:
    """Write a small classifier of token sequences as its own library saves it, and data."""
    pytest.importorskip("transformers", reason="pip install dnnrepair[hf]")
    with quiet():
        library: Any = importlib.import_module("transformers")
        sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        more = {"intermediate_size": 24, "max_position_embeddings": 16, "num_labels": CLASSES}
        config = library.BertConfig(vocab_size=WORDS, **sizes, **more)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            library.BertForSequenceClassification(config).eval().save_pretrained(here / "bert")
    rng = torch.Generator().manual_seed(1)
    x = torch.randint(0, WORDS, (60, LENGTH), generator=rng)
    torch.save({"x": x, "y": torch.arange(60) % CLASSES}, here / "data.pt")
    return here / "bert"


def logits(path: Path, x: torch.Tensor) -> torch.Tensor:
    library: Any = importlib.import_module("transformers")
    with quiet(), torch.no_grad():
        found = library.BertForSequenceClassification.from_pretrained(path).eval()(x)
    return torch.as_tensor(found.logits)


def test_numbers_go_back_into_a_folder_that_its_library_loads(folder: Path, here: Path) -> None:
    x = torch.load(here / "data.pt", weights_only=True)["x"]
    before = logits(folder, x)
    asked = ("swap", str(folder), "--data", "data.pt", "--temperature", "2")
    assert run([*asked, "--output", "cool"]) == 0
    assert torch.allclose(logits(here / "cool", x), before / 2, atol=1e-5)
    assert torch.equal(logits(folder, x), before)


def test_a_learned_activation_needs_another_form(
    folder: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("swap", str(folder), "--data", "data.pt", "--activation", "gelu=xgelu")
    assert run([*asked, "--output", "new"]) == 2
    said = capsys.readouterr().err
    assert "a folder of transformers runs their code, which cannot hold this" in said
    assert "gelu became xgelu" in said
    assert not (here / "new").exists()
    assert run([*asked, "--output", "new.pt"]) == 0
    scope: dict[str, Any] = {}
    exec((here / "new.py").read_text(), scope)
    net = scope["Net"]()
    net.load_state_dict(torch.load(here / "new.pt", weights_only=True))
    x = torch.load(here / "data.pt", weights_only=True)["x"]
    with torch.no_grad():
        assert torch.allclose(net.eval()(x), logits(folder, x), atol=1e-5)
