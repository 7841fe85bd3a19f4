"""Settings from the nearest pyproject.toml."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dnnrepair.config import read_config
from dnnrepair.errors import SettingError

if TYPE_CHECKING:
    from pathlib import Path

KNOWN = ("select", "fail-on")


def test_the_nearest_file_with_the_section_counts(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.dnnrepair]\nfail-on = "note"\n[tool.dnnrepair.rules.ACT001]\nwarn_share = 0.6\n'
    )
    (inner / "pyproject.toml").write_text("[tool.other]\nx = 1\n")
    config = read_config(inner, KNOWN)
    assert config.path == tmp_path / "pyproject.toml"
    assert config.options == {"fail-on": "note"}
    assert config.rules == {"ACT001": {"warn_share": 0.6}}
    (inner / "pyproject.toml").write_text("[tool.dnnrepair]\n")
    assert read_config(inner, KNOWN).options == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tool.dnnrepair]\nselekt = 1", "did you mean 'select'"),
        ("[tool.dnnrepair]\nrules = 1", "must be a table"),
        ("[tool.dnnrepair.rules]\nACT001 = 1", "must be a table"),
        ("[tool]\ndnnrepair = 1", "must be a table"),
        ("[tool", "cannot read"),
        ("\ufeff\x00", "cannot read"),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SettingError, match=words) as refused:
        read_config(tmp_path, KNOWN)
    assert str(tmp_path) in str(refused.value)


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"\xff\xfe[\x00")
    with pytest.raises(SettingError, match="cannot read"):
        read_config(tmp_path, KNOWN)
