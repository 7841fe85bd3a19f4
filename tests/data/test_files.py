"""Files of every form, against what numpy, pandas, PIL and safetensors wrote."""

from __future__ import annotations

import gzip
import os
import pickle
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file

from dnnrepair.data import DataOptions, open_data
from dnnrepair.errors import DataError, DnnRepairError

if TYPE_CHECKING:
    from pathlib import Path

    from dnnrepair.data import Samples

X = np.random.default_rng(0).random((7, 4)).astype(np.float32)
Y = np.arange(7) % 3


def whole(samples: Samples) -> tuple[Any, Any]:
    batches = list(samples.batches(3))
    assert sum(map(len, batches)) == samples.size
    x = torch.cat([b.inputs[0] for b in batches])
    y = [b.targets for b in batches]
    return x.numpy(), None if y[0] is None else torch.cat(y).numpy()  # type: ignore[arg-type]


def holds(samples: Samples, x: Any = X, y: Any = Y) -> None:
    found = whole(samples)
    np.testing.assert_array_equal(found[0], x)
    if y is None:
        assert found[1] is None
        assert not samples.labeled
    else:
        np.testing.assert_array_equal(found[1], y)


@pytest.mark.parametrize("names", ["x y", "X Y", "images labels", "data target", "inputs targets"])
def test_npz_under_the_usual_names(tmp_path: Path, names: str) -> None:
    x, y = names.split()
    file = tmp_path / "d.npz"
    np.savez_compressed(file, **{x: X, y: Y})  # type: ignore[arg-type]
    holds(open_data(str(file)))
    assert open_data(str(file)).name == str(file)


def test_npz_parts(tmp_path: Path) -> None:
    file = tmp_path / "d.npz"
    np.savez(file, x_train=X + 1, y_train=Y, x_test=X, y_test=Y)
    holds(open_data(f"{file}:test"))
    holds(open_data(f"{file}:train"), X + 1)
    chosen = open_data(str(file))
    holds(chosen)
    assert "'test' was used" in chosen.notes[0]
    np.savez(file, test_images=X, test_labels=Y)
    holds(open_data(f"{file}:test"))


def test_npz_arrays_can_be_named(tmp_path: Path) -> None:
    file = tmp_path / "d.npz"
    np.savez(file, pixels=X, more=X + 1, digit=Y)
    samples = open_data(str(file), DataOptions(features=("pixels", "more"), label="digit"))
    holds(samples)
    np.testing.assert_array_equal(samples.example(7).inputs[1], X + 1)


def test_npz_with_several_inputs(tmp_path: Path) -> None:
    file = tmp_path / "d.npz"
    np.savez(file, x1=X, x2=X * 2, y=Y)
    assert [x.shape for x in open_data(str(file)).example(5).inputs] == [(5, 4), (5, 4)]


def test_npy_is_mapped_not_read(tmp_path: Path) -> None:
    file = tmp_path / "d.npy"
    large = np.lib.format.open_memmap(file, "w+", np.float64, (4, 10_000_000))
    large[1, 5] = 7
    large.flush()
    del large
    before = peak_memory()
    samples = open_data(str(file))
    assert peak_memory() - before < 40  # of 320 MB
    first = next(iter(samples.batches(2)))
    assert first.inputs[0][1, 5] == 7
    assert first.inputs[0].dtype == torch.float32


def peak_memory() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # MB


def test_tensors(tmp_path: Path) -> None:
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    save_file({"x": x, "y": y}, tmp_path / "d.safetensors")
    torch.save({"x_test": x, "y_test": y, "note": "ours"}, tmp_path / "d.pt")
    torch.save((x, y), tmp_path / "pair.pt")
    torch.save(x, tmp_path / "x.pt")
    holds(open_data(str(tmp_path / "d.safetensors")))
    holds(open_data(f"{tmp_path / 'd.pt'}:test"))
    holds(open_data(str(tmp_path / "pair.pt")))
    holds(open_data(str(tmp_path / "x.pt")), y=None)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    st.lists(
        st.tuples(st.floats(-1e6, 1e6, width=32), st.integers(-9, 9), st.integers(0, 5)),
        min_size=1,
        max_size=20,
    )
)
def test_csv_against_what_was_written(tmp_path: Path, rows: list[tuple[float, int, int]]) -> None:
    file = tmp_path / "d.csv"
    lines = ["a,label,b", *(f"{a!r},{label},{b}" for a, b, label in rows)]
    file.write_text("\n".join(lines) + "\n")
    wanted = np.array([(a, b) for a, b, _ in rows], np.float32)
    holds(open_data(str(file), DataOptions(label="label")), wanted, [y for *_, y in rows])


def table() -> pd.DataFrame:
    frame = pd.DataFrame(X, columns=list("abcd"))
    return frame.assign(flag=[True, False] * 3 + [True], y=Y, name=list("xyzxyzx"))


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.tsv", "t.parquet"])
def test_tables_of_every_kind(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    if name.endswith("parquet"):
        table().to_parquet(file)
    else:
        table().to_csv(file, sep="\t" if "tsv" in name else ",", index=False)
    options = DataOptions(label="y", features=("b", "a", "flag"))
    found, y = whole(open_data(str(file), options))
    np.testing.assert_allclose(found, table()[["b", "a", "flag"]].to_numpy("float32"), rtol=1e-6)
    np.testing.assert_array_equal(y, Y)


def test_text_labels_are_numbered_in_alphabetical_order(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    table().to_csv(file, index=False)
    samples = open_data(str(file), DataOptions(label="name", features=("a",)))
    np.testing.assert_array_equal(whole(samples)[1], [0, 1, 2, 0, 1, 2, 0])
    assert "classes: 0 = x, 1 = y, 2 = z" in samples.notes


def test_float_labels_stay_values(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    table().to_csv(file, index=False)
    _, y = whole(open_data(str(file), DataOptions(label="a", features=("b",))))
    np.testing.assert_allclose(y, X[:, 0], rtol=1e-6)


def test_a_table_without_label_says_so(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    table()[["a", "b"]].to_csv(file, index=False)
    samples = open_data(str(file))
    assert not samples.labeled
    assert "--label" in samples.notes[0]


def folder_of(root: Path, *images: tuple[str, np.ndarray[Any, Any]]) -> Path:
    for name, values in images:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(root / name)
    return root


BYTES = np.random.default_rng(1).integers(0, 256, (4, 5, 6, 3), np.uint8)


def test_a_folder_of_images_in_order_of_class(tmp_path: Path) -> None:
    root = folder_of(
        tmp_path / "im",
        ("dog/a.png", BYTES[0]),
        ("cat/b.png", BYTES[1]),
        ("cat/a.PNG", BYTES[2]),
        (".hidden/a.png", BYTES[3]),
    )
    (root / "cat" / "notes.txt").write_text("no image")
    (root / "empty").mkdir()
    samples = open_data(str(root), DataOptions(scale="1/255"))
    wanted = BYTES[[2, 1, 0]].transpose(0, 3, 1, 2).astype(np.float32) * np.float32(1 / 255)
    holds(samples, wanted, [0, 0, 1])
    assert "classes: 0 = cat, 1 = dog" in samples.notes
    raw = open_data(str(root))
    holds(raw, BYTES[[2, 1, 0]].transpose(0, 3, 1, 2), [0, 0, 1])
    assert any("--scale" in note for note in raw.notes)


def test_gray_images_have_one_channel(tmp_path: Path) -> None:
    deep = np.full((5, 6), 40_000, np.uint16)
    root = folder_of(tmp_path / "g", ("k/a.png", BYTES[0, :, :, 0]), ("k/b.png", deep))
    found, _ = whole(open_data(str(root)))
    np.testing.assert_array_equal(found[:, 0], np.stack([BYTES[0, :, :, 0], deep]))


def test_images_are_decoded_when_asked_for(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "im", *((f"k/{i}.png", BYTES[0]) for i in range(9)))
    (root / "k" / "7.png").write_bytes(b"no image")
    batches = open_data(str(root)).batches(3)
    next(batches)
    next(batches)
    with pytest.raises(DataError, match=r"7\.png cannot be decoded"):
        next(batches)


def test_images_of_unequal_size_are_both_named(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "im", ("k/a.png", BYTES[0]), ("k/b.png", BYTES[1, :3]))
    with pytest.raises(DataError, match=r"b\.png has shape \(3, 3, 6\), .*a\.png has \(3, 5, 6\)"):
        list(open_data(str(root)).batches(2))


def test_images_without_pillow_name_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folder_of(tmp_path / "im", ("k/a.png", BYTES[0]))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DataError, match=r"dnnrepair\[images\]"):
        open_data(str(root))


def test_parquet_without_pyarrow_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: Any) -> Any:
        raise ImportError

    file = tmp_path / "t.parquet"
    file.write_bytes(b"PAR1")
    monkeypatch.setattr(pd, "read_parquet", absent)
    with pytest.raises(DataError, match=r"dnnrepair\[parquet\]"):
        open_data(str(file))


class Marker:
    """Leaves a file behind if it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_pickled_data_are_refused_and_not_run(tmp_path: Path) -> None:
    marker = Marker(tmp_path / "ran")
    objects = np.empty(2, object)
    objects[:] = [marker, marker]
    np.savez(tmp_path / "d.npz", x=objects, allow_pickle=True)
    np.save(tmp_path / "d.npy", objects, allow_pickle=True)
    torch.save({"x": marker}, tmp_path / "d.pt")
    (tmp_path / "raw.pt").write_bytes(pickle.dumps(marker))
    for name in ("d.npz", "d.npy", "d.pt", "raw.pt"):
        with pytest.raises(DataError, match="could run code"):
            open_data(str(tmp_path / name))
    assert not marker.path.exists()


def write(path: Path, **arrays: Any) -> str:
    np.savez(path, **arrays)
    return str(path)


@pytest.mark.parametrize(
    ("arrays", "what"),
    [
        ({"a": X, "b": Y}, r"holds a, b, but no 'x'"),
        ({"x": X, "y": Y[:3]}, "7 inputs but 3"),
        ({"x": X[:0], "y": Y[:0]}, "no samples"),
        ({"x": np.float32(3)}, "no samples"),
        ({"x": np.array(["a", "b"])}, "text, not numbers"),
        ({"x": X.astype(complex)}, "complex numbers"),
    ],
)
def test_arrays_that_cannot_be_used(tmp_path: Path, arrays: dict[str, Any], what: str) -> None:
    with pytest.raises(DataError, match=what):
        open_data(write(tmp_path / "d.npz", **arrays))


def test_names_that_are_not_there_get_a_hint(tmp_path: Path) -> None:
    file = write(tmp_path / "d.npz", pixels=X, labels=Y)
    with pytest.raises(DataError, match="did you mean 'pixels'"):
        open_data(file, DataOptions(features=("pixel",)))
    with pytest.raises(DataError, match="no 'x_val'"):
        open_data(f"{file}:val")


@pytest.mark.parametrize(
    ("change", "options", "what"),
    [
        ({}, DataOptions(label="y"), "not numeric: name; encode"),
        ({}, DataOptions(label="yy"), "no column 'yy'; did you mean 'y'"),
        ({}, DataOptions(features=("q",)), "no column 'q'; it has a, b"),
        ({"a": [1.0] * 4 + [None] * 3}, DataOptions(features=("a", "b")), "'a' has 3 missing"),
        (
            {"y": [1.0] * 6 + [None]},
            DataOptions(label="y", features=("b",)),
            "1 labels are missing",
        ),
    ],
)
def test_tables_that_cannot_be_used(
    tmp_path: Path, change: dict[str, Any], options: DataOptions, what: str
) -> None:
    file = tmp_path / "t.csv"
    table().assign(**change).to_csv(file, index=False)
    with pytest.raises(DataError, match=what):
        open_data(str(file), options)


@pytest.mark.parametrize(
    "name", ["d.npz", "d.npy", "d.pt", "d.safetensors", "t.parquet", "t.csv.gz"]
)
def test_damaged_and_empty_files_are_told(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(b"")
    with pytest.raises(DataError, match="is empty"):
        open_data(str(file))
    file.write_bytes(b"PK\x03\x04 this is no archive" * 9)
    with pytest.raises(DataError, match=name.replace(".", r"\.")):
        open_data(str(file))


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(st.sampled_from(["npz", "npy", "pt", "safetensors", "csv.gz"]), st.data())
def test_a_damaged_file_ends_in_a_clear_error_or_in_data(
    tmp_path: Path, form: str, data: st.DataObject
) -> None:
    file = tmp_path / f"d.{form}"
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    if form == "npz":
        np.savez_compressed(file, x=X, y=Y)
    elif form == "npy":
        np.save(file, X)
    elif form == "pt":
        torch.save({"x": x, "y": y}, file)
    elif form == "safetensors":
        save_file({"x": x, "y": y}, file)
    else:
        file.write_bytes(gzip.compress(b"a,b\n1,2\n3,4\n"))
    content = bytearray(file.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    for _ in range(data.draw(st.integers(0, 3))):
        if content:
            place = data.draw(st.integers(0, len(content) - 1))
            content[place] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(bytes(content))
    said = ""
    try:
        assert all(len(batch) for batch in open_data(str(file)).batches(2))
    except DnnRepairError as error:
        said = str(error)
    assert "\n" not in said


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    for spec, what in {
        str(tmp_path / "no.npz"): "no such file",
        str(tmp_path / "no.npz") + ":test": "no such file",
        "nothing": "no such file",
        str(tmp_path): "one folder per class",
        "no_such_module:make": "no_such_module",
        "os:no_such_name": "no_such_name",
    }.items():
        with pytest.raises(DataError, match=what):
            open_data(spec)
    (tmp_path / "d.xlsx").write_text("x")
    with pytest.raises(DataError, match=r"\.xlsx is not known; give \.npz"):
        open_data(str(tmp_path / "d.xlsx"))
    (tmp_path / "t.csv").write_text("a\n1\n")
    with pytest.raises(DataError, match="have parts"):
        open_data(f"{tmp_path / 't.csv'}:test")


CODE = """
import numpy as np, torch
from torch.utils.data import DataLoader, TensorDataset
X, Y = torch.arange(28.).reshape(7, 4), torch.arange(7) % 3
def arrays(): return X.numpy(), Y.numpy()
def alone(): return X
def named(): return {"y": Y, "x": X}
def dataset(): return TensorDataset(X, Y)
def loader(): return DataLoader(TensorDataset(X, Y), batch_size=2)
def images(): return TensorDataset(torch.zeros(5, 8, 8, 3, dtype=torch.uint8), Y[:5])
ready = TensorDataset(X, Y)
def bad(): raise ValueError("first line\\nsecond line")
def wrong(): return 3
"""


@pytest.mark.parametrize("name", ["arrays", "named", "dataset", "loader", "ready"])
def test_data_from_the_users_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "mine.py").write_text(CODE)
    (tmp_path / f"mod_{name}.py").write_text(CODE)
    wanted = np.arange(28.0).reshape(7, 4)
    holds(open_data(f"{tmp_path / 'mine.py'}:{name}"), wanted)
    monkeypatch.chdir(tmp_path)
    holds(open_data(f"mod_{name}:{name}"), wanted)
    assert str(tmp_path) not in sys.path
    scaled = open_data(f"{tmp_path / 'mine.py'}:{name}", DataOptions(scale=0.5, mean=(1.0,)))
    holds(scaled, wanted / 2 - 1)


def test_images_from_the_users_code_are_turned(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(CODE)
    samples = open_data(f"{tmp_path / 'mine.py'}:images", DataOptions(scale="1/255"))
    assert samples.example(2).inputs[0].shape == (2, 3, 8, 8)
    assert any("height, width, channels" in note for note in samples.notes)
    holds(open_data(f"{tmp_path / 'mine.py'}:alone"), np.arange(28.0).reshape(7, 4), None)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("bad", "raised ValueError: first line$"),
        ("wrong", "is int; give arrays"),
        ("datase", "did you mean 'dataset'"),
    ],
)
def test_faults_of_the_users_code_are_told(tmp_path: Path, name: str, what: str) -> None:
    (tmp_path / "mine.py").write_text(CODE)
    with pytest.raises(DataError, match=what):
        open_data(f"{tmp_path / 'mine.py'}:{name}")
    with pytest.raises(DataError, match="no file"):
        open_data(f"{tmp_path / 'other.py'}:{name}")


def test_columns_of_labels_and_one_hot_labels_become_class_numbers(tmp_path: Path) -> None:
    for y in (Y[:, None], np.eye(3)[Y], np.eye(3, dtype=np.uint8)[Y]):
        samples = open_data(write(tmp_path / "d.npz", x=X, y=y))
        holds(samples)
        assert len(samples.notes) == 1
    values = np.linspace(0, 1, 7, dtype=np.float32)[:, None]
    holds(open_data(write(tmp_path / "d.npz", x=X, y=values)), y=values)
    tokens = np.arange(28).reshape(7, 4)
    holds(open_data(write(tmp_path / "d.npz", x=tokens, y=tokens)), tokens, tokens)
