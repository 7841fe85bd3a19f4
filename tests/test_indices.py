"""Inputs named by position: what is read, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnnrepair.errors import SettingError
from dnnrepair.indices import marked, read_indices


def test_positions_are_read_from_text_and_from_arrays(tmp_path: Path) -> None:
    text, array = tmp_path / "some.txt", tmp_path / "some.npy"
    text.write_text("3\n0\n\n 12\n")
    np.save(array, np.array([[3], [0], [12]], np.uint16))
    assert read_indices(text) == read_indices(array) == (3, 0, 12)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", b"1\ntwo\n"),
        ("a.txt", b"1.5\n"),
        ("a.txt", b"\xff\xfe"),
        ("a.npy", b""),
        ("a.npy", b"1\n2\n"),
        ("a.npy", np.array([0.5])),
        ("a.npy", np.array([True])),
        ("missing.txt", None),
        ("missing.npy", None),
        (".", None),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, name: str, content: Any) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content)
    with pytest.raises(SettingError, match=r"cannot read .* one whole number per line, from 0 on"):
        read_indices(path)


def test_an_array_that_would_run_code_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "objects.npy"
    np.save(path, np.array([Path("x")], object), allow_pickle=True)
    with pytest.raises(SettingError, match="cannot read"):
        read_indices(path)


def test_named_inputs_are_marked_once() -> None:
    assert marked((2, 0, 2), 4).tolist() == [True, False, True, False]


@pytest.mark.parametrize("indices", [(4,), (0, -1), (10**30,)])
def test_an_input_out_of_range_is_named(indices: tuple[int, ...]) -> None:
    words = f"input {indices[-1]} is out of range; the data have 4, 0 to 3"
    with pytest.raises(SettingError, match=words):
        marked(indices, 4)


def test_no_input_at_all_is_refused() -> None:
    with pytest.raises(SettingError, match="no input is named"):
        marked((), 4)
