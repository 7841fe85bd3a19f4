"""Damaged and crafted files of every form: a one-line error, or a file that is written again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from dnnrepair.errors import DnnRepairError
from dnnrepair.saving import hold
from tests.loading.test_fuzz import CHANGES, Change, _bytes, _entries, _original

CASES = {"state": 60, "legacy": 60, "safetensors": 60, "script": 40, "pt2": 15}


@pytest.fixture(scope="module")
def originals(tmp_path_factory: Any) -> dict[str, bytes]:
    return {form: _original(form, Path(tmp_path_factory.mktemp(form)) / "m") for form in CASES}


@pytest.mark.filterwarnings("ignore")  # torch deprecates its own script
@pytest.mark.parametrize("form", CASES)
def test_damaged_files_end_in_a_clean_error_or_a_file(
    form: str, originals: dict[str, bytes], tmp_path: Path
) -> None:
    original, path = originals[form], tmp_path / "model"
    change_one = _entries if original.startswith(b"PK") else _bytes

    @settings(max_examples=CASES[form])
    @given(changes=CHANGES)
    def check(changes: list[Change]) -> None:
        content = original
        for change in changes:
            content = change_one(content, change)
        path.write_bytes(content)
        try:
            held = hold(str(path))
            held.write(tmp_path / "out")
        except DnnRepairError as error:
            assert str(error).isprintable()  # noqa: PT017
        else:
            again = hold(str(tmp_path / "out"))
            assert list(again.tensors) == list(held.tensors)

    check()
