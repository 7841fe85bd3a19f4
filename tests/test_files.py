"""Files are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnnrepair.files import OutputError, check_writable, write_bytes_whole, write_whole


@given(text=st.text(st.characters(codec="utf-8")))
def test_what_is_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("files") / "report.txt"
    write_whole(path, text)
    assert path.read_bytes() == text.encode()


def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.txt"
    path.write_text("old")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space")))
    with pytest.raises(OutputError, match="no space"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_whole(tmp_path / "ours", "x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_links_and_devices_are_written_through(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("old")
    link = tmp_path / "link"
    link.symlink_to(target)
    write_whole(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    device = Path(os.devnull)
    check_writable(device)
    write_whole(device, "gone")
    assert not device.is_file()


def test_inputs_are_kept_under_any_name(tmp_path: Path) -> None:
    model = tmp_path / "model.pt"
    model.touch()
    (tmp_path / "soft").symlink_to(model)
    (tmp_path / "hard").hardlink_to(model)
    for name in ("model.pt", "soft", "hard", "../" + tmp_path.name + "/model.pt"):
        with pytest.raises(OutputError, match="it is an input"):
            check_writable(tmp_path / name, keep=[model])
    check_writable(tmp_path / "other", keep=[model, tmp_path / "missing"])


@pytest.mark.parametrize("name", [".", "no/folder/x", "model.pt/x", "x" * 300])
def test_what_cannot_be_written_is_refused_in_advance(tmp_path: Path, name: str) -> None:
    (tmp_path / "model.pt").touch()
    with pytest.raises(OutputError, match="cannot write"):
        check_writable(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


def test_bytes_are_written_as_they_are(tmp_path: Path) -> None:
    content = bytes(range(256)) + b"\r\n"
    write_bytes_whole(tmp_path / "bytes", content)
    assert (tmp_path / "bytes").read_bytes() == content
    with pytest.raises(OutputError, match="cannot write"):
        write_bytes_whole(tmp_path / "no" / "bytes", content)
