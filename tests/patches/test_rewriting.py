"""Every form of file: patched, read by plain torch, taken back to the same bits, rest kept."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from dnnrepair.bits import digest, identical
from dnnrepair.errors import DnnRepairError, PatchError
from dnnrepair.loading import load
from dnnrepair.patch import Patch
from dnnrepair.patches.file import write_patch
from tests.patches.forms import FORMS, MOVING, STATE, X, network, patched, plain, run


@pytest.mark.filterwarnings("ignore")  # torch deprecates its own script
@pytest.mark.parametrize("name", FORMS)
def test_apply_and_revert_in_every_form(name: str, tmp_path: Path) -> None:
    form, path = FORMS[name], tmp_path / name
    form.write(path)
    original = path.read_bytes()
    state, rest = {k: v.clone() for k, v in form.read(path).items()}, form.rest(path)
    patch, new = patched(dict(load(str(path), trust_pickle=form.trust).state))
    write_patch(tmp_path / "x.patch", patch)
    there, back = tmp_path / f"there-{name}", tmp_path / f"back-{name}"
    run(path, [tmp_path / "x.patch"], there, trust_pickle=form.trust)
    expected = state | {"4.weight": new, "0.bias": state["0.bias"] * 2}
    found = form.read(there)
    assert list(found) == list(expected)
    assert all(identical(found[key], expected[key]) for key in expected)
    assert form.rest(there) == rest
    assert digest(load(str(there), trust_pickle=form.trust).state) == patch.result
    run(there, [tmp_path / "x.patch"], back, back=True, trust_pickle=form.trust)
    assert all(identical(form.read(back)[key], state[key]) for key in state)
    assert form.rest(back) == rest
    assert path.read_bytes() == original
    if name in MOVING:
        return
    again = tmp_path / f"again-{name}"
    run(path, [tmp_path / "x.patch"], again, trust_pickle=form.trust)
    assert again.read_bytes() == there.read_bytes()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["script.pt", "exported.pt2"])
def test_patched_programs_answer_as_the_patched_network(name: str, tmp_path: Path) -> None:
    path, network_ = tmp_path / name, network()
    FORMS[name].write(path)
    patch, new = patched(dict(load(str(path)).state))
    write_patch(tmp_path / "x.patch", patch)
    run(path, [tmp_path / "x.patch"], tmp_path / "out")
    network_.load_state_dict(STATE | {"4.weight": new, "0.bias": STATE["0.bias"] * 2})
    loaded = load(str(tmp_path / "out"))
    ready = loaded.script or (loaded.exported.module() if loaded.exported else None)
    assert ready is not None
    assert torch.equal(ready(X), network_(X))


def test_only_changed_bytes_of_safetensors_differ(tmp_path: Path) -> None:
    path, out = tmp_path / "m.safetensors", tmp_path / "out.safetensors"
    FORMS["plain.safetensors"].write(path)
    write_patch(tmp_path / "x.patch", patched(STATE)[0])
    run(path, [tmp_path / "x.patch"], out)
    pairs = zip(path.read_bytes(), out.read_bytes(), strict=True)
    assert 0 < sum(a != b for a, b in pairs) <= 4 * 4


def test_reference_networks(tmp_path: Path) -> None:
    from dnnrepair.models import build

    module = build("mlp-relu:init", seed=3).module
    state = dict(module.state_dict())
    name = next(iter(state))
    write_patch(tmp_path / "x.patch", Patch.of(state, {name: state[name] + 1}))
    out = tmp_path / "out.pt"
    run("models:mlp-relu:init", [tmp_path / "x.patch"], out, seed=3)
    assert torch.equal(plain(out)[name], state[name] + 1)
    with pytest.raises(PatchError, match="made for a network with digest"):
        run("models:mlp-relu:init", [tmp_path / "x.patch"], out, seed=4)


def test_timm_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    timm: Any = ModuleType("timm")
    timm.is_model, timm.create_model = (lambda _: True), (lambda _, **__: network())
    monkeypatch.setitem(sys.modules, "timm", timm)
    patch, new = patched(STATE)
    write_patch(tmp_path / "x.patch", patch)
    run("timm:tiny", [tmp_path / "x.patch"], tmp_path / "out.pt")
    assert torch.equal(plain(tmp_path / "out.pt")["4.weight"], new)


def test_stacks_in_order_and_back(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    torch.save(STATE, path)
    states, paths = [STATE], []
    for number in range(3):
        new = {"4.bias": states[-1]["4.bias"] + 1, "0.bias": torch.full((2,), float(number))}
        paths.append(tmp_path / f"{number}.patch")
        write_patch(paths[-1], Patch.of(states[-1], new))
        states.append(states[-1] | new)
    run(path, paths, tmp_path / "out")
    assert digest(plain(tmp_path / "out")) == digest(states[-1])
    run(tmp_path / "out", paths, tmp_path / "back", back=True)
    assert digest(plain(tmp_path / "back")) == digest(STATE)
    run(tmp_path / "out", paths[1:], tmp_path / "one", back=True)
    assert digest(plain(tmp_path / "one")) == digest(states[1])
    for wrong in (paths[::-1], paths[1:], [paths[0], paths[2]]):
        with pytest.raises(PatchError, match=r"\d\.patch: the patch was made for"):
            run(path, wrong, tmp_path / "no")
    with pytest.raises(PatchError, match="results in a network"):
        run(tmp_path / "out", paths[:2], tmp_path / "no", back=True)
    assert not (tmp_path / "no").exists()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FORMS)
def test_every_form_refuses_a_foreign_patch(name: str, tmp_path: Path) -> None:
    form, path = FORMS[name], tmp_path / name
    form.write(path)
    write_patch(tmp_path / "x.patch", patched({k: v + 1 for k, v in STATE.items()})[0])
    with pytest.raises(PatchError, match=r"x\.patch: the patch was made for .*0\.bias\[0\] is"):
        run(path, [tmp_path / "x.patch"], tmp_path / "no", trust_pickle=form.trust)
    patch, _ = patched(dict(load(str(path), trust_pickle=form.trust).state))
    write_patch(tmp_path / "y.patch", patch)
    run(path, [tmp_path / "y.patch"], tmp_path / "out", trust_pickle=form.trust)
    with pytest.raises(PatchError, match="already applied"):
        run(tmp_path / "out", [tmp_path / "y.patch"], tmp_path / "no", trust_pickle=form.trust)
    assert not (tmp_path / "no").exists()


def test_pickles_stay_refused_without_trust(tmp_path: Path) -> None:
    for name in ("pickled.pt", "plain.pkl"):
        FORMS[name].write(tmp_path / name)
        write_patch(tmp_path / "x.patch", patched(STATE)[0])
        with pytest.raises(DnnRepairError, match="--trust-pickle"):
            run(tmp_path / name, [tmp_path / "x.patch"], tmp_path / "out")
