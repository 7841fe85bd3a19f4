"""``dnnrepair apply``, ``revert`` and ``show`` as a user meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dnnrepair.patch import Patch
from dnnrepair.patches.file import write_patch
from tests.cli.conftest import Said

Run = Callable[..., Said]


@pytest.fixture
def patch(network: Path) -> Path:
    """Write ``x.patch`` for ``model.pt`` and return it."""
    state = torch.load(network, weights_only=True)
    new = state["2.weight"].clone()
    new[1, 3] = 9.0
    path = network.with_name("x.patch")
    write_patch(path, Patch.of(state, {"2.weight": new}, method="arachne", seed=7))
    return path


def test_apply_then_revert(dnnrepair: Run, network: Path, patch: Path, here: Path) -> None:
    before = torch.load(network, weights_only=True)
    said = dnnrepair("apply", network, patch, "--output", "there.pt")
    assert (said.code, said.out) == (0, "")
    assert "1 number in 1 tensor changed" in said.err
    assert "state dict written to there.pt" in said.err
    assert torch.load(here / "there.pt", weights_only=True)["2.weight"][1, 3] == 9
    assert dnnrepair("revert", "there.pt", patch, "--output", "back.pt").code == 0
    after = torch.load(here / "back.pt", weights_only=True)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_the_patched_file_can_be_diagnosed(dnnrepair: Run, network: Path, patch: Path) -> None:
    assert dnnrepair("apply", network, patch, "--output", "there.pt").code == 0
    said = dnnrepair(
        "diagnose", "there.pt", "--arch", "net.py:make", "--output-format", "json", "--exit-zero"
    )
    assert said.code == 0
    assert json.loads(said.out)["model"]["digest"] in dnnrepair("show", patch).out


def test_a_dry_run_writes_nothing(dnnrepair: Run, network: Path, patch: Path, here: Path) -> None:
    before = sorted(path.name for path in here.iterdir())
    said = dnnrepair("apply", network, patch, "--dry-run", "--output", "there.pt")
    assert said.code == 0
    assert "would change" in said.err
    assert "nothing was written" in said.err
    assert sorted(path.name for path in here.iterdir()) == before


def spoil_before(path: Path) -> None:
    content = path.read_bytes()
    size = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:size])
    start = size + header["0.before"]["data_offsets"][0]
    path.write_bytes(content[:start] + b"\x00\x00\x80\x3f" + content[start + 4 :])


BAD: dict[str, tuple[Callable[[Path], object], list[str], str]] = {
    "another network": (
        lambda p: torch.save({"2.weight": torch.zeros(4, 16)}, p.with_name("model.pt")),
        ["--output", "y.pt"],
        "x.patch: the patch was made for a network with digest",
    ),
    "a patch cut short": (
        lambda p: p.write_bytes(p.read_bytes()[:-1]),
        ["--output", "y.pt"],
        "x.patch: damaged safetensors file",
    ),
    "other values before": (
        spoil_before,
        ["--output", "y.pt"],
        "x.patch: the patch contradicts itself: 2.weight[1, 3] is",
    ),
    "a missing patch": (Path.unlink, ["--output", "y.pt"], "x.patch: no such file"),
    "a missing model": (
        lambda p: p.with_name("model.pt").unlink(),
        ["--output", "y.pt"],
        "model.pt: no such file",
    ),
    "no output": (lambda _: None, [], "--output"),
    "the model as output": (lambda _: None, ["--output", "model.pt"], "it is an input"),
    "the patch as output": (lambda _: None, ["--output", "x.patch"], "it is an input"),
    "a folder as output": (lambda _: None, ["--output", "."], "it is a folder"),
}


@pytest.mark.parametrize("command", ["apply", "revert"])
@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(
    case: str, command: str, dnnrepair: Run, network: Path, patch: Path, here: Path
) -> None:
    spoil, options, expected = BAD[case]
    if command == "revert" and case in {"another network", "other values before"}:
        expected = "x.patch: the patch "
    spoil(patch)
    said = dnnrepair(command, network.name, patch.name, *options)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert expected in said.err
    assert not (here / "y.pt").exists()


def test_a_full_disk_leaves_the_old_file(
    dnnrepair: Run, network: Path, patch: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "y.pt").write_text("old")
    full = OSError(28, "No space left on device")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(full))
    said = dnnrepair("apply", network, patch, "--output", "y.pt")
    assert said.code == 2
    assert "cannot write y.pt: no space left on device" in said.err
    assert (here / "y.pt").read_text() == "old"


def test_twice_says_so(dnnrepair: Run, network: Path, patch: Path) -> None:
    assert dnnrepair("apply", network, patch, "--output", "y.pt").code == 0
    assert "already applied" in dnnrepair("apply", "y.pt", patch, "--output", "z.pt").err
    assert "not applied" in dnnrepair("revert", network, patch, "--output", "z.pt").err


def test_show(dnnrepair: Run, patch: Path) -> None:
    said = dnnrepair("show", patch)
    assert said.code == 0
    row = next(line for line in said.out.splitlines() if "weight[1, 3]" in line)
    assert row.startswith("2 ")
    assert "9" in row.split()
    assert "arachne, seed 7" in said.out
    found: Any = json.loads(dnnrepair("show", patch, "--output-format", "json").out)
    assert found["changed"][0]["numbers"][0]["after"] == 9.0


def test_show_lists_the_largest_or_all(dnnrepair: Run, here: Path) -> None:
    base = {"fc.weight": torch.zeros(10, 10)}
    write_patch(here / "big", Patch.of(base, {"fc.weight": torch.ones(10, 10)}))
    assert dnnrepair("show", "big").out.count("weight[") == 10
    assert "90 more of 100 in fc.weight; norm of its change 10" in dnnrepair("show", "big").out
    assert dnnrepair("show", "big", "--all").out.count("weight[") == 100


def test_show_refuses_what_is_no_patch(dnnrepair: Run, network: Path) -> None:
    said = dnnrepair("show", network)
    assert said.code == 2
    assert "no patch file" in said.err
    assert "Traceback" not in said.err
