"""Scale, mean, std and layout, against the same done by numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from dnnrepair.data import DataOptions, open_data
from dnnrepair.data.transform import as_factor, transform_for
from dnnrepair.errors import DataError, SettingError

if TYPE_CHECKING:
    from pathlib import Path

BYTES = np.random.default_rng(0).integers(0, 256, (6, 8, 9, 3), np.uint8)


def read(tmp_path: Path, x: Any, **options: Any) -> tuple[Any, tuple[str, ...]]:
    np.savez(tmp_path / "d.npz", x=x)
    samples = open_data(str(tmp_path / "d.npz"), DataOptions(**options))
    batches = [b.inputs[0].numpy() for b in samples.batches(4)]
    return np.concatenate(batches), samples.notes


def test_color_images_are_scaled_turned_and_normalized(tmp_path: Path) -> None:
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    found, notes = read(tmp_path, BYTES, scale="1/255", mean=mean, std=std)
    wanted = ((BYTES / 255 - mean) / std).transpose(0, 3, 1, 2)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert any("height, width, channels" in note for note in notes)


def test_bytes_without_scale_stay_as_they_are_with_a_note(tmp_path: Path) -> None:
    found, notes = read(tmp_path, BYTES)
    np.testing.assert_array_equal(found, BYTES.transpose(0, 3, 1, 2))
    assert any("0 to 255" in note for note in notes)


@pytest.mark.parametrize(
    ("shape", "layout", "wanted"),
    [
        ((6, 8, 9), "auto", (6, 1, 8, 9)),
        ((6, 8, 9, 1), "auto", (6, 1, 8, 9)),
        ((6, 1, 8, 9), "auto", (6, 1, 8, 9)),
        ((6, 3, 8, 9), "auto", (6, 3, 8, 9)),
        ((6, 3, 8, 3), "auto", (6, 3, 8, 3)),
        ((6, 3, 8, 3), "NHWC", (6, 3, 3, 8)),
        ((6, 8, 9, 3), "NCHW", (6, 8, 9, 3)),
        ((6, 8, 9), "NHWC", (6, 1, 8, 9)),
        ((6, 8), "auto", (6, 8)),
    ],
)
def test_layout_of_bytes(
    tmp_path: Path, shape: tuple[int, ...], layout: str, wanted: tuple[int, ...]
) -> None:
    found, _ = read(tmp_path, np.zeros(shape, np.uint8), layout=layout)
    assert found.shape == wanted


@pytest.mark.parametrize(
    ("shape", "layout", "wanted"),
    [
        ((6, 8, 9), "auto", (6, 8, 9)),  # may be a sequence
        ((6, 8, 9), "NCHW", (6, 1, 8, 9)),
        ((6, 8, 8, 3), "auto", (6, 3, 8, 8)),
        ((6, 8, 9, 3), "auto", (6, 8, 9, 3)),  # may be 8 channels
        ((6, 8, 9, 3), "NHWC", (6, 3, 8, 9)),
    ],
)
def test_layout_of_floats(
    tmp_path: Path, shape: tuple[int, ...], layout: str, wanted: tuple[int, ...]
) -> None:
    found, _ = read(tmp_path, np.zeros(shape, np.float32), layout=layout)
    assert found.shape == wanted


def test_token_ids_stay_and_measurements_can_be_told_from_them(tmp_path: Path) -> None:
    ids = np.arange(24).reshape(6, 4)
    found, notes = read(tmp_path, ids)
    assert found.dtype == np.int64
    assert "--scale 1" in notes[-1]
    found, _ = read(tmp_path, ids, scale="1")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, ids)
    assert read(tmp_path, ids[:, :, None, None])[0].dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.uint16, bool])
def test_every_kind_of_number_is_read(tmp_path: Path, dtype: Any) -> None:
    found, _ = read(tmp_path, np.ones((6, 2), dtype), scale=1)
    np.testing.assert_array_equal(found, np.ones((6, 2)))


def test_features_are_normalized_one_by_one(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((6, 5, 2)).astype(np.float32)
    found, _ = read(tmp_path, x, mean=(1.0, 2.0), std=(2.0, 4.0))
    np.testing.assert_allclose(found, (x - [1, 2]) / [2, 4], rtol=1e-5)
    found, _ = read(tmp_path, x[:, 0], mean=(1.0,))
    np.testing.assert_allclose(found, x[:, 0] - 1, rtol=1e-6)


def test_as_many_numbers_as_channels_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="2 numbers for mean or std, but the data have 3 channels"):
        read(tmp_path, BYTES, mean=(0.5, 0.5))


@pytest.mark.parametrize(
    ("scale", "factor"),
    [("1/255", 1 / 255), ("255", 1 / 255), (0.5, 0.5), ("1", 1.0), ("2/1", 2.0)],
)
def test_scale(scale: Any, factor: float) -> None:
    assert as_factor(scale) == pytest.approx(factor)


@pytest.mark.parametrize("scale", ["0", "-1", "x", "1/0", "inf", "nan", "", "1/2/3"])
def test_scale_that_is_none(scale: str) -> None:
    with pytest.raises(SettingError, match="--scale"):
        as_factor(scale)


@pytest.mark.parametrize("options", [{"std": (0.0,)}, {"mean": (float("nan"),)}, {"layout": "HWC"}])
def test_settings_that_make_no_sense(options: Any) -> None:
    with pytest.raises(SettingError):
        transform_for(torch.zeros(2, 3), DataOptions(**options))
