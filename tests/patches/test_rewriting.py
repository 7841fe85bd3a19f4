"""Every form of file: patched, loaded by plain torch, taken back to the same bits, the rest kept."""

from __future__ import annotations

import io
import json
import pickle
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dnnrepair.bits import digest, identical
from dnnrepair.errors import DnnRepairError, ModelError, PatchError
from dnnrepair.files import OutputError
from dnnrepair.loading import load
from dnnrepair.patch import Patch
from dnnrepair.patches.file import write_patch
from dnnrepair.patches.rewriting import Source, rewritten

X = torch.linspace(-1, 1, 50).reshape(2, 1, 5, 5)
State = dict[str, Tensor]


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(18, 3)
        return nn.Sequential(*layers).eval()


STATE: State = network().state_dict()


def plain(path: Path) -> Any:
    return torch.load(path, weights_only=True)


@dataclass(frozen=True)
class Form:
    """How plain torch writes a form of file, reads the network's tensors, and what else it holds."""

    write: Callable[[Path], object]
    read: Callable[[Path], State]
    rest: Callable[[Path], object] = lambda _path: None
    trust: bool = False


def entries(path: Path, *, values: str) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {n.partition("/")[2]: archive.read(n) for n in archive.namelist() if values not in n}


def write_script(path: Path) -> None:
    torch.jit.save(torch.jit.script(network().train()), path, _extra_files={"notes.txt": b"mine"})


def write_exported(path: Path) -> None:
    dynamic = ({0: torch.export.Dim.DYNAMIC},)
    exported = torch.export.export(network(), (X,), dynamic_shapes=dynamic)
    torch.export.save(exported, path, extra_files={"notes.txt": "mine"})


CHECKPOINT = {
    "epoch": 3,
    "model": {f"module.{key}": value for key, value in STATE.items()},
    "optimizer": {"state": {0: {"step": torch.ones(1), "exp_avg": torch.randn(3)}}, "groups": [1]},
    "args": ("adam", 0.1),
}


def without(found: dict[str, Any], key: str) -> str:
    return repr({k: v for k, v in found.items() if k != key})


FORMS = {
    "bare.pth": Form(
        lambda p: torch.save(network().state_dict(), p), plain, lambda p: plain(p)._metadata
    ),
    "before-1.6.pt": Form(
        lambda p: torch.save(STATE, p, _use_new_zipfile_serialization=False),
        plain,
        lambda p: zipfile.is_zipfile(p),
    ),
    "checkpoint.ckpt": Form(
        lambda p: torch.save(CHECKPOINT, p),
        lambda p: {k.removeprefix("module."): v for k, v in plain(p)["model"].items()},
        lambda p: without(plain(p), "model"),
    ),
    "nested.bin": Form(
        lambda p: torch.save({"checkpoint": {"net": dict(STATE), "loss": 0.5}}, p),
        lambda p: plain(p)["checkpoint"]["net"],
        lambda p: without(plain(p)["checkpoint"], "net"),
    ),
    "list.tar": Form(
        lambda p: torch.save([dict(STATE), {"epoch": 1}], p),
        lambda p: plain(p)[0],
        lambda p: plain(p)[1:],
    ),
    "parameters.pt": Form(
        lambda p: torch.save(dict(network().named_parameters()), p),
        lambda p: {k: v.detach() for k, v in plain(p).items()},
        lambda p: [type(v) for v in plain(p).values()],
    ),
    "plain.safetensors": Form(
        lambda p: save_file(STATE, p, {"format": "pt", "made": "by hand"}),
        load_file,
        lambda p: safe_open(p, "pt").metadata(),
    ),
    "script.pt": Form(
        write_script,
        lambda p: dict(torch.jit.load(p).state_dict()),
        lambda p: (torch.jit.load(p).training, entries(p, values="/data/")),
    ),
    "exported.pt2": Form(
        write_exported,
        lambda p: dict(torch.export.load(p).state_dict),
        lambda p: entries(p, values="data/weights/weight_"),
    ),
    "pickled.pt": Form(
        lambda p: torch.save({"net": network().train(), "epoch": 3}, p),
        lambda p: torch.load(p, weights_only=False)["net"].state_dict(),
        lambda p: torch.load(p, weights_only=False)["net"].training,
        trust=True,
    ),
    "plain.pkl": Form(
        lambda p: p.write_bytes(pickle.dumps({"state_dict": STATE, "classes": ["a", "b"]})),
        lambda p: pickle.loads(p.read_bytes())["state_dict"],
        lambda p: pickle.loads(p.read_bytes())["classes"],
        trust=True,
    ),
}


MOVING = ("before-1.6.pt", "plain.pkl")  # their pickles name places in memory


def patched(state: State, name: str = "4.weight") -> tuple[Patch, Tensor]:
    new = state[name].clone()
    new[1, 2], new[2, 17] = 5.0, -0.0
    return Patch.of(state, {name: new, "0.bias": state["0.bias"] * 2}), new


def run(
    model: Path | str, paths: list[Path], target: Path, *, back: bool = False, **options: Any
) -> None:
    rewritten(Source(model=str(model), **options), paths, back=back).held.write(target)


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
    module = nn.Sequential(nn.Linear(3, 3, bias=False), nn.ReLU(), nn.Linear(3, 3, bias=False))
    module[2].weight = module[0].weight
    return module


def tied_module() -> nn.Module:
    return tied()


def test_tied_tensors_stay_tied(tmp_path: Path) -> None:
    module, path, out = tied(), tmp_path / "m.pt", tmp_path / "out.pt"
    torch.save(module.state_dict(), path)
    state = {"0.weight": module[0].weight.detach().clone()}  # as the network names it
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


# Hugging Face folders: their files are known, transformers itself is an extra.


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


def test_numbers_that_repeat_in_memory(tmp_path: Path) -> None:
    state = {"w": torch.zeros(1).expand(4), "v": torch.zeros(2)}
    buffer = io.BytesIO()
    torch.save(state, buffer)
    (tmp_path / "m.pt").write_bytes(buffer.getvalue())
    write_patch(tmp_path / "x.patch", Patch.of(state, {"w": torch.ones(4)}))
    with pytest.raises(PatchError, match="repeats numbers in memory"):
        run(tmp_path / "m.pt", [tmp_path / "x.patch"], tmp_path / "out")
