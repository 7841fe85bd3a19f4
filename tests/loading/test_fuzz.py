"""Damaged and crafted files of every form: a one-line error or a readable network, never more."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from dnnrepair.errors import DnnRepairError
from dnnrepair.loading import load

CASES = {"state": 120, "legacy": 120, "safetensors": 120, "script": 120, "pickled": 80, "pt2": 40}
Change = tuple[str, float, float, int]

CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "insert", "copy", "swap", "drop", "rename"]),
        st.floats(0, 0.999),
        st.floats(0, 0.999),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=3,
)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: Any) -> dict[str, bytes]:
    return {form: _original(form, Path(tmp_path_factory.mktemp(form)) / "m") for form in CASES}


def _original(form: str, path: Path) -> bytes:
    network = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)).eval()
    if form == "state":
        torch.save({"epoch": 1, "state_dict": network.state_dict()}, path)
    elif form == "legacy":
        torch.save(network.state_dict(), path, _use_new_zipfile_serialization=False)
    elif form == "safetensors":
        save_file(network.state_dict(), path)
    elif form == "pickled":
        torch.save(network, path)
    elif form == "script":
        torch.jit.script(network).save(str(path))
    else:
        torch.export.save(torch.export.export(network, (torch.ones(2, 4),)), path)
    return path.read_bytes()


def _bytes(content: bytes, change: Change) -> bytes:
    kind, first, second, value = change
    data = bytearray(content)
    at, other = int(first * len(data)), int(second * len(data))
    if kind == "cut":
        del data[at:]
    elif kind == "insert":
        data[at:at] = bytes([value])
    elif kind == "copy":
        data[at : at + 8] = data[other : other + 8]
    elif data:
        data[at] ^= 1 << value % 8
    return bytes(data)


def _entries(content: bytes, change: Change) -> bytes:
    """Change what is in an archive and write it anew, so that every checksum is right."""
    kind, first, second, _ = change
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    names = list(contents)
    if not names:
        return content
    one, two = names[int(first * len(names))], names[int(second * len(names))]
    if kind == "swap":
        contents[one], contents[two] = contents[two], contents[one]
    elif kind == "drop":
        del contents[one]
    elif kind == "rename":
        contents[f"{one}x"] = contents.pop(one)
    else:
        contents[one] = _bytes(contents[one], (kind, second, first, change[3]))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in contents.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore")  # torch deprecates its own script
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("form", CASES)
def test_damaged_files_end_in_a_clean_error_or_a_network(
    form: str, originals: dict[str, bytes], tmp_path: Path, *, inside: bool
) -> None:
    original, path = originals[form], tmp_path / "model"
    change_one = _entries if inside and original.startswith(b"PK") else _bytes

    @settings(
        max_examples=CASES[form] // 2 if original.startswith(b"PK") else CASES[form],
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(changes=CHANGES)
    def check(changes: list[Change]) -> None:
        content = original
        for change in changes:
            content = change_one(content, change)
        path.write_bytes(content)
        try:
            loaded = load(str(path))
        except DnnRepairError as error:
            assert "\n" not in str(error)  # noqa: PT017
            assert str(error).isprintable()  # noqa: PT017
        else:
            for value in loaded.state.values():
                value.double().sum()  # every value can be read

    check()
