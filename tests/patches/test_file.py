"""Patch files: what is written is read, compactly, and nothing in one is believed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file
from torch import Tensor

from dnnrepair.errors import DnnRepairError, PatchError
from dnnrepair.files import OutputError
from dnnrepair.patch import Patch
from dnnrepair.patches.file import KEY, read_patch, to_bytes, write_patch
from tests.patches.conftest import changes

BASE = {"fc.weight": torch.arange(60.0).reshape(6, 10), "fc.bias": torch.zeros(6)}
AFTER = {"fc.weight": BASE["fc.weight"].clone(), "fc.bias": torch.full((6,), 0.5)}
AFTER["fc.weight"][2, 3] = -1.0
PATCH = Patch.of(
    BASE,
    AFTER,
    method="arachne",
    settings={"alpha": 10, "layers": ["fc"]},
    seed=7,
    verdict={"part": "held-out", "targets": {"hits": 3, "tries": 4}, "classes": []},
)


@given(changes())
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, pair: tuple[dict[str, Tensor], dict[str, Tensor]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.patch"
    patch = Patch.of(*pair)
    write_patch(path, patch)
    assert read_patch(path) == patch
    assert to_bytes(read_patch(path)) == path.read_bytes()


def test_everything_about_it_is_kept(tmp_path: Path) -> None:
    write_patch(tmp_path / "x.patch", PATCH)
    found = read_patch(tmp_path / "x.patch")
    assert found == PATCH
    assert (found.method, found.seed, dict(found.settings)) == ("arachne", 7, PATCH.settings)


def test_the_same_patch_gives_the_same_bytes() -> None:
    assert to_bytes(PATCH) == to_bytes(PATCH.inverse.inverse)
    assert to_bytes(PATCH) != to_bytes(replace(PATCH, seed=8))


def test_other_programs_can_read_it(tmp_path: Path) -> None:
    write_patch(tmp_path / "x.patch", PATCH)
    assert load_file(tmp_path / "x.patch")["1.after"].tolist() == [-1.0]
    with safe_open(tmp_path / "x.patch", "pt") as file:
        described = json.loads(file.metadata()[KEY])
    assert described["tensors"][1] == {"name": "fc.weight", "box": [3, 4]}


def test_few_weights_and_whole_layers_are_compact() -> None:
    base = {"w": torch.zeros(1000, 100)}
    few = torch.zeros(1000, 100)
    few[torch.arange(10) * 90, torch.arange(10) * 9] = 1.0
    assert len(to_bytes(Patch.of(base, {"w": few}))) < 1000
    whole = len(to_bytes(Patch.of(base, {"w": torch.ones(1000, 100)})))
    assert whole < 1.02 * 100_000 * 2 * 4


def test_settings_that_json_cannot_say_become_null(tmp_path: Path) -> None:
    write_patch(tmp_path / "x", replace(PATCH, settings={"a": float("inf"), "b": (1.0, "x")}))
    assert read_patch(tmp_path / "x").settings == {"a": None, "b": [1.0, "x"]}


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.patch"
    write_patch(path, PATCH)
    before = path.read_bytes()
    full = OSError(28, "No space left on device")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(full))
    with pytest.raises(OutputError, match=r"x.patch: no space left on device; name another file"):
        write_patch(path, replace(PATCH, seed=8))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def parts() -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the description and the tensors of a sound file, to be spoiled."""
    content = to_bytes(PATCH)
    size = int.from_bytes(content[:8], "little")
    described = json.loads(json.loads(content[8 : 8 + size])["__metadata__"][KEY])
    tensors = {
        **{f"0.{part}": torch.full((6,), 0.5) for part in ("before", "after")},
        **{f"1.{part}": torch.full((1,), 0.5) for part in ("before", "after")},
        "0.index": torch.tensor([252], dtype=torch.uint8),
        "1.index": torch.tensor([11], dtype=torch.int32),
    }
    return described, tensors


def refused(path: Path, described: Any, tensors: dict[str, Tensor]) -> str:
    text = described if isinstance(described, str) else json.dumps(described)
    path.write_bytes(save(tensors, {KEY: text}))
    with pytest.raises(PatchError) as caught:
        read_patch(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.isprintable()
    return message


def test_the_parts_are_sound_before_they_are_spoiled(tmp_path: Path) -> None:
    described, tensors = parts()
    (tmp_path / "x").write_bytes(save(tensors, {KEY: json.dumps(described)}))
    assert read_patch(tmp_path / "x").count == 7


@pytest.mark.parametrize(
    ("spoiled", "match"),
    [
        ({"format": 2}, "format 2, where this dnnrepair reads 1"),
        ({"format": "1"}, "without a format number"),
        ({"format": True}, "without a format number"),
        ({"base": "../../etc"}, "no digest as its 'base'"),
        ({"result": None}, "no 'result'"),
        ({"seed": 1.5}, "no 'seed'"),
        ({"seed": True}, "no 'seed'"),
        ({"settings": []}, "no 'settings'"),
        ({"verdict": "good"}, "no 'verdict'"),
        ({"method": "a\x1b[2J"}, "control characters"),
        ({"method": "a" * 501}, "no end in the name"),
        ({"tensors": {}}, "no 'tensors'"),
        ({"tensors": []}, "6 blocks of values that are not those of 0 tensors"),
        ({"tensors": [1, 2]}, "not described"),
        (
            {"tensors": [{"name": "a", "box": [6]}, {"name": "a", "box": [3, 4]}]},
            "tensor twice",
        ),
        ({"tensors": [{"name": "a\n", "box": [6]}, {"name": "b", "box": [3, 4]}]}, "control"),
        ({"tensors": [{"name": "a", "box": [6]}, {"name": "b", "box": [3, 3]}]}, "out of range"),
        ({"tensors": [{"name": "a", "box": [6]}, {"name": "b", "box": [3.0]}]}, "whole numbers"),
        ({"tensors": [{"name": "a", "box": [6]}, {"name": "b", "box": [2**70]}]}, "a box of"),
        ({"tensors": [{"name": "a", "box": 6}, {"name": "b", "box": [3, 4]}]}, "no 'box'"),
    ],
)
def test_crafted_descriptions_are_refused(
    spoiled: dict[str, Any], match: str, tmp_path: Path
) -> None:
    described, tensors = parts()
    assert match in refused(tmp_path / "x", described | spoiled, tensors)


@pytest.mark.parametrize(
    ("spoiled", "match"),
    [
        ({"0.after": torch.ones(5)}, "do not match their places"),
        ({"0.after": torch.ones(6).half()}, "of shape (6,) and type"),
        ({"1.after": torch.tensor([float("nan")])}, "NaN among the new values of 'fc.weight'"),
        ({"1.index": torch.tensor([11.0])}, "do not match their places"),
        ({"1.index": torch.tensor([[11]])}, "do not match their places"),
        ({"1.index": torch.tensor([-1])}, "out of range"),
        ({"1.index": torch.tensor([12])}, "out of range"),
        ({"1.index": torch.tensor([1, 11])}, "2 places for 1 numbers"),
        ({"extra": torch.ones(1)}, "7 blocks of values"),
        (
            {"1.before": torch.ones(1, dtype=torch.cfloat)} | {"1.after": torch.ones(1) * 1j},
            "and type torch.complex64",
        ),
    ],
)
def test_crafted_values_are_refused(spoiled: dict[str, Tensor], match: str, tmp_path: Path) -> None:
    described, tensors = parts()
    assert match in refused(tmp_path / "x", described, tensors | spoiled)


@pytest.mark.parametrize("text", ["", "{", "[]", "1", '"x"', "[" * 100_000, "{}"])
def test_descriptions_that_are_none_are_refused(text: str, tmp_path: Path) -> None:
    assert "not a sound patch" in refused(tmp_path / "x", text, parts()[1])


def test_files_that_are_no_patches_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "model.safetensors")
    torch.save({"a": torch.ones(1)}, tmp_path / "model.pt")
    (tmp_path / "empty").touch()
    (tmp_path / "huge").write_bytes((2**60).to_bytes(8, "little") + b"{}")
    cases = {
        "model.safetensors": "a safetensors file, but no patch",
        "model.pt": "no patch file, or cut short",
        "empty": "no patch file, or cut short",
        "huge": "a header of 1,152,921,504,606,846,976 bytes",
        "missing": "no such file",
        ".": "no such file",
    }
    for name, match in cases.items():
        with pytest.raises(PatchError, match=match):
            read_patch(tmp_path / name)


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    content, path = to_bytes(PATCH), tmp_path / "x.patch"
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(PatchError, match=r"x\.patch: (?:no patch file|damaged)") as caught:
            read_patch(path)
        assert str(caught.value).isprintable()


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_files_end_in_a_clean_error_or_a_patch(
    tmp_path: Path, damage: list[tuple[float, int]]
) -> None:
    content, path = bytearray(to_bytes(PATCH)), tmp_path / "x.patch"
    for place, value in damage:
        content[int(place * len(content))] = value
    path.write_bytes(content)
    try:
        found = read_patch(path)
    except DnnRepairError as error:
        assert isinstance(error, PatchError)  # noqa: PT017
        assert str(error).isprintable()  # noqa: PT017
    else:
        assert to_bytes(found)
