"""Every form of file as plain torch writes and reads it, and a patch for the network in it."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dnnrepair.patch import Patch
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
    """How plain torch writes a form of file and reads the network, and what else it holds."""

    write: Callable[[Path], object]
    read: Callable[[Path], State]
    rest: Callable[[Path], object] = lambda _path: None
    trust: bool = False


def entries(path: Path, *, values: str) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {n.partition("/")[2]: archive.read(n) for n in archive.namelist() if values not in n}


def metadata(path: Path) -> Any:
    file: Any = safe_open(path, "pt")
    return file.metadata()


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
        zipfile.is_zipfile,
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
        metadata,
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
