"""Every form of file ends as the same graph and gives the same findings for the same network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dnnrepair.diagnose import diagnose
from dnnrepair.models import build
from dnnrepair.request import Request
from dnnrepair.selection import choose_rules
from dnnrepair.subject import open_subject

SPEC = "cnn-bn+dead-units@strong"


def write_state(module: nn.Module, path: Path, _x: Any) -> dict[str, Any]:
    torch.save(module.state_dict(), path)
    return {"arch": "models:cnn-bn"}


def write_nested(module: nn.Module, path: Path, _x: Any) -> dict[str, Any]:
    state = {f"module.{key}": value for key, value in module.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state}, path)
    return {"arch": "models:cnn-bn"}


def write_safetensors(module: nn.Module, path: Path, _x: Any) -> dict[str, Any]:
    save_file(module.state_dict(), path)
    return {"arch": "models:cnn-bn"}


def write_traced(module: nn.Module, path: Path, x: Any) -> dict[str, Any]:
    traced: Any = torch.jit.trace(module, x)
    traced.save(str(path))
    return {}


def write_scripted(module: nn.Module, path: Path, _x: Any) -> dict[str, Any]:
    torch.jit.script(module).save(str(path))
    return {}


def write_exported(module: nn.Module, path: Path, x: Any) -> dict[str, Any]:
    dynamic = ({0: torch.export.Dim.DYNAMIC},)
    torch.export.save(torch.export.export(module, x, dynamic_shapes=dynamic), path)
    return {}


def write_pickled(module: nn.Module, path: Path, _x: Any) -> dict[str, Any]:
    torch.save(module, path)
    return {"trust_pickle": True}


FORMS = {
    "state.pt": write_state,
    "nested.ckpt": write_nested,
    "plain.safetensors": write_safetensors,
    "traced.pt": write_traced,
    "scripted.pt": write_scripted,
    "exported.pt2": write_exported,
    "pickled.pt": write_pickled,
}


@pytest.fixture(scope="module")
def reference() -> Any:
    return build(SPEC, seed=0)


@pytest.fixture(scope="module")
def live() -> Any:
    return essential(open_subject(Request(model=f"models:{SPEC}", loss="cross_entropy")))


def essential(subject: Any) -> Any:
    report = diagnose(subject, choose_rules((), ("GRD004",), {}))
    everything = [f for root in report.findings for f in (root, *root.consequences)]
    return {(f.code, f.layer, f.severity, f.units) for f in everything}, report.model.digest


@pytest.mark.filterwarnings("ignore")  # torch deprecates its own script and trace
@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_findings(
    name: str, reference: Any, live: Any, tmp_path: Path
) -> None:
    path = tmp_path / name
    options = FORMS[name](reference.module, path, (reference.inputs[0][:4],))
    np.savez(tmp_path / "d.npz", x=reference.inputs[0].numpy(), y=reference.targets.numpy())
    request = Request(
        model=str(path), data=str(tmp_path / "d.npz"), loss="cross_entropy", **options
    )
    found, digest = essential(open_subject(request))
    assert ("ACT001" in {code for code, *_ in found}) or ("BN" in str(found))
    assert (found, digest) == live
