"""Files made to run code or to harm: refused in one line, and the marker never appears."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from dnnrepair.errors import ModelError, UntrustedError
from dnnrepair.loading import load
from dnnrepair.loading.expressions import is_plain
from dnnrepair.loading.recipe import is_operation

Edit = Callable[[dict[str, Any]], None]


def refused(path: Path, marker: Path, match: str = "refused") -> None:
    with pytest.raises(UntrustedError, match=match) as error:
        load(str(path))
    assert not marker.exists()
    assert "\n" not in str(error.value)


def entries(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path: Path, contents: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name), content)


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("place", ["top", "nested"])
def test_malicious_torch_files(
    place: str, payload: Any, marker: Path, tmp_path: Path, *, legacy: bool
) -> None:
    path = tmp_path / "m.pt"
    content = payload if place == "top" else {"state_dict": {"w": torch.ones(1)}, "args": payload}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    refused(path, marker, "mkdir")


@pytest.mark.parametrize("name", ["m.pkl", "m.pt", "m.safetensors", "m.pt2"])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_malicious_pickle_under_any_name(
    name: str, protocol: int, payload: Any, marker: Path, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(pickle.dumps(payload, protocol))
    refused(path, marker, "runs code")


def test_pickle_protocol_0_is_not_taken_for_a_network(
    payload: Any, marker: Path, tmp_path: Path
) -> None:
    path = tmp_path / "m.pt"
    path.write_bytes(pickle.dumps(payload, 0))
    with pytest.raises(ModelError, match="text file"):
        load(str(path))
    assert not marker.exists()


def test_the_payload_works_where_it_is_trusted(payload: Any, marker: Path, tmp_path: Path) -> None:
    """The other tests mean something only if this one passes."""
    path = tmp_path / "m.pkl"
    path.write_bytes(pickle.dumps(payload))
    with pytest.raises(ModelError):
        load(str(path), trust_pickle=True)
    assert marker.exists()


def test_baggage_is_named(tmp_path: Path, network: nn.Module) -> None:
    from argparse import Namespace

    path = tmp_path / "m.pt"
    torch.save({"state_dict": network.state_dict(), "args": Namespace(lr=0.1)}, path)
    with pytest.raises(UntrustedError, match=r"argparse\.Namespace.*--trust-pickle"):
        load(str(path))
    assert set(load(str(path), trust_pickle=True).state) == set(network.state_dict())


@pytest.fixture(scope="session")
def exported_file(tmp_path_factory: Any) -> Path:
    class Sized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 2)
            self.shift = torch.ones(2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.fc(x)
            return y.reshape(x.shape[0] * 2) + self.shift.sum()

    path = Path(tmp_path_factory.mktemp("exported")) / "m.pt2"
    program = torch.export.export(
        Sized(), (torch.ones(3, 4),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)
    )
    torch.export.save(program, path)
    return path


def crafted(source: Path, target: Path, inner: str, edit: Edit) -> None:
    contents = entries(source)
    (name,) = (key for key in contents if key.endswith(inner))
    described = json.loads(contents[name])
    edit(described)
    contents[name] = json.dumps(described).encode()
    write(target, contents)


def _pickled(config: dict[str, Any]) -> None:
    next(iter(config["config"].values()))["use_pickle"] = True


def _renamed(prefix: str) -> Edit:
    def edit(config: dict[str, Any]) -> None:
        next(iter(config["config"].values()))["path_name"] = prefix + "0"

    return edit


def _target(text: str) -> Edit:
    def edit(program: dict[str, Any]) -> None:
        program["graph_module"]["graph"]["nodes"][0]["target"] = text

    return edit


def _size(text: str) -> Edit:
    def edit(program: dict[str, Any]) -> None:
        values = program["graph_module"]["graph"]["tensor_values"]
        next(iter(values.values()))["sizes"][0] = {"as_expr": {"expr_str": text, "hint": None}}

    return edit


def _spec(text: str) -> Edit:
    def edit(program: dict[str, Any]) -> None:
        program["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = text

    return edit


def test_the_crafted_archives_are_good_before_the_edit(exported_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.pt2"
    crafted(exported_file, path, "models/model.json", lambda _p: None)
    loaded = load(str(path))
    assert loaded.exported is not None
    assert loaded.exported.module()(torch.ones(5, 4)).shape == (10,)


@pytest.mark.parametrize(
    ("inner", "edit", "match"),
    [
        ("model_weights_config.json", _pickled, "pickle"),
        ("model_constants_config.json", _pickled, "pickle"),
        ("models/model.json", _target("torch.os.system"), r"torch\.os\.system"),
        ("models/model.json", _target("torch.load"), r"torch\.load"),
        ("models/model.json", _target("torch.ops.aten.save.default"), r"aten\.save"),
        ("models/model.json", _target("torch.ops.aten.from_file.default"), "from_file"),
        ("models/model.json", _target("_operator.attrgetter"), "attrgetter"),
        ("models/model.json", _target("#inductor:evil"), "#inductor|cannot read"),
        ("models/model.json", _size("__import__('os').mkdir('MARKER')"), "the size"),
        ("models/model.json", _size("().__class__"), "the size"),
        ("models/model.json", _size("Pow(Integer(9), Pow(Integer(9), Integer(9)))"), "the size"),
        ("models/model.json", _spec('[1, {"__enum__": true, "fqn": "os:x"}]'), "imports"),
    ],
)
def test_exported_programs_that_would_run_code(
    inner: str, edit: Edit, match: str, exported_file: Path, marker: Path, tmp_path: Path
) -> None:
    path = tmp_path / "m.pt2"
    crafted(exported_file, path, inner, edit)
    with pytest.raises(ModelError, match=match) as error:
        load(str(path))
    assert "\n" not in str(error.value)
    assert not marker.exists()
    assert not Path("MARKER").exists()


@pytest.mark.parametrize("prefix", ["opaque_obj_", "custom_obj_"])
def test_exported_programs_with_unpickled_objects(
    prefix: str, payload: Any, exported_file: Path, marker: Path, tmp_path: Path
) -> None:
    path, first = tmp_path / "m.pt2", tmp_path / "first.pt2"
    contents = entries(exported_file)
    contents[f"m/data/constants/{prefix}0"] = pickle.dumps(payload)
    write(first, contents)
    crafted(first, path, "model_constants_config.json", _renamed(prefix))
    refused(path, marker, "pickle")


@pytest.mark.parametrize(
    ("inner", "match"),
    [
        ("data/aotinductor/model/x.so", "compiled"),
        ("data/weights/model.pt", "a pickle"),
        ("data/constants/model.pt", "a pickle"),
    ],
)
def test_exported_programs_with_more_than_a_graph(
    inner: str, match: str, payload: Any, exported_file: Path, marker: Path, tmp_path: Path
) -> None:
    path, buffer = tmp_path / "m.pt2", io.BytesIO()
    torch.save(payload, buffer)
    write(path, entries(exported_file) | {f"m/{inner}": buffer.getvalue()})
    refused(path, marker, match)


def test_sample_inputs_are_never_unpickled_freely(
    payload: Any, exported_file: Path, marker: Path, tmp_path: Path
) -> None:
    path, buffer = tmp_path / "m.pt2", io.BytesIO()
    torch.save(((payload,), {}), buffer)
    contents = entries(exported_file)
    (name,) = (key for key in contents if "sample_inputs" in key)
    write(path, contents | {name: buffer.getvalue()})
    assert load(str(path)).exported is not None
    assert not marker.exists()


def test_guards_are_not_compiled(exported_file: Path, marker: Path, tmp_path: Path) -> None:
    def edit(program: dict[str, Any]) -> None:
        program["guards_code"] = [f"__import__('os').mkdir({str(marker)!r}) is None"]

    path = tmp_path / "m.pt2"
    crafted(exported_file, path, "models/model.json", edit)
    loaded = load(str(path))
    assert loaded.exported is not None
    loaded.exported.module()(torch.ones(5, 4))
    assert not marker.exists()


def test_older_exported_programs_are_refused(payload: Any, marker: Path, tmp_path: Path) -> None:
    path, buffer = tmp_path / "m.pt2", io.BytesIO()
    torch.save(payload, buffer)
    names = ("state_dict.pt", "constants.pt", "example_inputs.pt")
    contents = {f"serialized_{name}": buffer.getvalue() for name in names}
    write(path, {"version": b"8.1", "serialized_exported_program.json": b"{}"} | contents)
    refused(path, marker, "torch 2.7")


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("Symbol('s77', positive=True, integer=True)", True),
        ("Add(FloorDiv(Add(Symbol('s53'), Integer(-3)), Integer(2)), Integer(1))", True),
        ("Mul(Integer(16), Max(Integer(1), Symbol('s1')))", True),
        ("Pow(Symbol('s0'), Integer(2))", True),
        ("s0", True),
        ("Symbol('x').__class__", False),
        ("Symbol(open('/etc/passwd'))", False),
        ("eval('1')", False),
        ("[x for x in (1,)]", False),
        ("lambda: 0", False),
        ("9**9**9", False),
        ("Integer('__import__(\"os\")')", False),
        ("Add(*s0)", False),
        ("Float('1.5', precision=__import__('os'))", False),
        ("(" * 400 + "s0" + ")" * 400, False),
    ],
)
def test_which_sizes_are_plain(text: str, *, fine: bool) -> None:
    assert is_plain(text) is fine


def test_which_operations_compute_and_do_nothing_else() -> None:
    assert is_operation("torch.ops.aten.conv2d.default")
    assert is_operation("_operator.floordiv")
    assert is_operation("torch.ops.higher_order.cond")
    for target in ("torch.ops.evil.x.default", "torch.ops.aten.save.item", "torch.os.system", 3):
        assert not is_operation(target)


@pytest.mark.filterwarnings("ignore")
def test_torchscript_that_writes_files(tmp_path: Path, marker: Path) -> None:
    class Saving(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + 1

    path, crafted_path = tmp_path / "m.pt", tmp_path / "c.pt"
    torch.jit.script(Saving()).save(str(path))
    contents = entries(path)
    (name,) = (key for key in contents if "code/" in key and key.endswith(".py"))
    for code in (b"ops.aten.save(x, '%s')", b"x.save('%s')", b"torch.from_file('%s')"):
        line = code % str(marker).encode()
        changed = contents[name].replace(b"    return", b"    _ = " + line + b"\n    return", 1)
        assert changed != contents[name]
        write(crafted_path, contents | {name: changed})
        refused(crafted_path, marker, "reach files")


@pytest.mark.filterwarnings("ignore")
def test_torchscript_that_claims_more_than_it_holds(tmp_path: Path, marker: Path) -> None:
    path, crafted_path = tmp_path / "m.pt", tmp_path / "c.pt"
    torch.jit.script(nn.Linear(4, 5)).save(str(path))
    contents = entries(path)
    (name,) = (key for key in contents if key.endswith("/data.pkl"))
    for old, new in ((b"K\x14t", b"M\x60\xeat"), (b"(K\x05K\x04t", b"(M\x60\xeaK\x04t")):
        changed = contents[name].replace(old, new, 1)
        assert changed != contents[name]
        write(crafted_path, contents | {name: changed})
        refused(crafted_path, marker, "refused")


def test_state_dict_that_claims_more_than_it_holds(tmp_path: Path) -> None:
    path, crafted_path = tmp_path / "m.pt", tmp_path / "c.pt"
    torch.save({"w": torch.ones(5, 4)}, path)
    contents = entries(path)
    (name,) = (key for key in contents if key.endswith("/data.pkl"))
    changed = contents[name].replace(b"K\x05K\x04", b"M\x60\xeaM\x60\xea", 1)
    assert changed != contents[name]
    write(crafted_path, contents | {name: changed})
    with pytest.raises(ModelError):
        load(str(crafted_path))


def test_a_tensor_that_unfolds_to_terabytes(tmp_path: Path, marker: Path) -> None:
    path = tmp_path / "m.pt"
    torch.save({"w": torch.ones(1).expand(1 << 20, 1 << 20)}, path)
    refused(path, marker, "claims")


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31m", "a\u202eb", "x" * 600])
def test_names_with_control_characters(name: str, tmp_path: Path, marker: Path) -> None:
    from safetensors.torch import save_file

    for path, save in ((tmp_path / "m.pt", torch.save), (tmp_path / "m.safetensors", save_file)):
        save({name: torch.ones(2)}, path)
        refused(path, marker, "control characters")


def test_markup_in_names_is_left_to_the_formats(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    torch.save({"<script>.weight": torch.ones(2, 2)}, path)
    assert list(load(str(path)).state) == ["<script>.weight"]


@pytest.mark.parametrize("name", ["../m/data.pkl", "/m/data.pkl", "m/../../x", "C:/x"])
def test_paths_that_leave_the_archive(name: str, tmp_path: Path, marker: Path) -> None:
    path = tmp_path / "m.pt"
    write(path, {"m/data.pkl": b"", name: b"x"})
    refused(path, marker, "the path")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name(tmp_path: Path, marker: Path) -> None:
    path = tmp_path / "m.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", b"1")
        archive.writestr("m/data.pkl", b"2")
    refused(path, marker, "two entries")


def test_an_archive_that_inflates_past_the_bound(tmp_path: Path, marker: Path) -> None:
    path = tmp_path / "m.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", b"\0" * 80_000_000)
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02") + 24  # the size that the table of contents states
    content[at : at + 4] = (3 << 30).to_bytes(4, "little")
    path.write_bytes(content)
    refused(path, marker, "inflate")


def test_entries_that_overlap(tmp_path: Path, marker: Path) -> None:
    path = tmp_path / "m.pt"
    write(path, {"m/data.pkl": b"1" * 1000, "m/data/0": b"2" * 1000})
    content = bytearray(path.read_bytes())
    for at in (content.index(b"PK\x01\x02"), content.rindex(b"PK\x01\x02")):
        for place in (20, 24):
            content[at + place : at + place + 4] = (2000).to_bytes(4, "little")
    path.write_bytes(content)
    refused(path, marker, "overlap")
