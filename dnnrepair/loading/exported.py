"""``.pt2`` archives: examined, rebuilt from what was examined, and only then given to torch.

torch 2.15 (``torch/export/pt2_archive/_package.py``) unpickles every payload marked
``use_pickle``, every custom and opaque object and, if need be, the sample inputs; it loads the
shared libraries of AOTInductor; it evaluates size expressions and compiles guards.
"""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import torch

from dnnrepair.errors import ModelError, UntrustedError
from dnnrepair.forking import begin_autograd
from dnnrepair.loading.archive import Archive
from dnnrepair.loading.loaded import Loaded
from dnnrepair.loading.quiet import first_line, quiet
from dnnrepair.loading.recipe import check_graph, read_json
from dnnrepair.loading.states import check_tensors
from dnnrepair.loading.storages import Stored

if TYPE_CHECKING:
    from pathlib import Path

    from torch.export import ExportedProgram

_COMPILED = ("data/aotinductor/", "data/executorch/", "data/mtia", "xl_model_weights/")
_MODEL = "model"  # the name under which torch.export.save files the network
_LEGACY = "serialized_exported_program.json"
_SAMPLES = "data/sample_inputs/"
_CONFIGS = {"data/weights/": ("weight_",), "data/constants/": ("tensor_",)}


def load_exported(path: Path) -> Loaded:
    """Return the exported program in a ``.pt2`` file.

    Raises:
        UntrustedError: loading it would run code.
        ModelError: it is damaged or of another torch version.
    """
    with Archive(path) as archive:
        replaced = _examine(archive, str(path))
        buffer = archive.rebuilt(replaced)
    try:
        begin_autograd()
        with quiet():
            exported = torch.export.load(buffer)
    except Exception as error:
        message = (
            f"{path}: torch {torch.__version__} cannot read this exported program "
            f"({type(error).__name__}: {first_line(error)}); export the network again"
        )
        raise ModelError(message) from error
    return _loaded(exported, str(path))


def locate(path: Path) -> dict[str, Stored]:
    """Return which entries of a file that was loaded hold its tensors' values, by name.

    Raises:
        ModelError: a shape is no list of plain numbers.
    """
    found: dict[str, Stored] = {}
    with Archive(path) as archive:
        for folder in _CONFIGS:
            table = f"{archive.root}{folder}{_MODEL}_{folder.split('/')[1]}_config.json"
            payloads = read_json(archive.read(table), str(path))["config"]
            prefix = f"{archive.root}{folder}"
            found |= {key: _stored(prefix, payload, path) for key, payload in payloads.items()}
    return found


def _stored(folder: str, payload: dict[str, Any], path: Path) -> Stored:
    try:
        meta = payload["tensor_meta"]
        return Stored(
            entry=f"{folder}{payload['path_name']}",
            shape=tuple(int(size["as_int"]) for size in meta["sizes"]),
            stride=tuple(int(step["as_int"]) for step in meta["strides"]),
            offset=int(meta["storage_offset"]["as_int"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        message = f"{path}: damaged, a tensor without plain sizes; export the network again"
        raise ModelError(message) from error


def _loaded(exported: ExportedProgram, name: str) -> Loaded:
    state = {key: value.detach() for key, value in exported.state_dict.items()}
    buffers = set(exported.graph_signature.buffers)
    constants = exported.constants
    state |= {k: v for k, v in constants.items() if k in buffers and isinstance(v, torch.Tensor)}
    if state:  # a network without parameters is one, if a dull one
        check_tensors(state, name)
    parameters = dict(exported.named_parameters())
    return Loaded(
        name=name,
        form="pt2",
        state=state,
        exported=exported,
        buffers=frozenset(buffers & state.keys()),
        trainable=frozenset(key for key, p in parameters.items() if p.requires_grad),
    )


def _examine(archive: Archive, name: str) -> dict[str, bytes | None]:
    """Return the entries to be replaced before torch reads the archive."""
    if any(entry.rpartition("/")[2] == _LEGACY for entry in archive.names):
        message = f"{name}: exported by torch 2.7 or older, in a format of pickles; export it again"
        raise UntrustedError(message)
    root = archive.root
    replaced: dict[str, bytes | None] = {}
    for entry in archive.names:
        inner = entry.removeprefix(root)
        _refuse_compiled(inner, name)
        if inner.startswith("models/"):
            graph = check_graph(read_json(archive.read(entry), name), name)
            replaced[entry] = json.dumps(graph).encode()
        elif inner.startswith(_SAMPLES):
            replaced[entry] = _plain_samples(archive.read(entry))
        elif inner.startswith("extra/"):
            replaced[entry] = None
        for folder, prefixes in _CONFIGS.items():
            if inner.startswith(folder) and inner.endswith("_config.json"):
                replaced[entry] = _config(archive, root + folder, entry, prefixes, name)
    return replaced


def _refuse_compiled(inner: str, name: str) -> None:
    if inner.startswith(_COMPILED):
        message = (
            f"{name}: refused, it contains compiled code ({inner[:80]!r}); "
            "save the network with torch.export.save"
        )
        raise UntrustedError(message)
    if inner.startswith(tuple(_CONFIGS)) and inner.endswith(".pt"):
        message = (
            f"{name}: refused, it contains a pickle ({inner[:80]!r}); "
            "save it with a newer torch.export.save"
        )
        raise UntrustedError(message)


def _config(
    archive: Archive, folder: str, entry: str, prefixes: tuple[str, ...], name: str
) -> bytes:
    """Return the table of payloads as it was examined."""
    table = read_json(archive.read(entry), name)
    payloads = table.get("config")
    if not isinstance(payloads, dict):
        message = f"{name}: damaged, {entry!r} has no table; export the network again"
        raise ModelError(message)
    for key, payload in payloads.items():
        file = payload.get("path_name") if isinstance(payload, dict) else None
        if not isinstance(file, str) or f"{folder}{file}" not in archive.names:
            message = f"{name}: damaged, no values for {key[:80]!r}; export the network again"
            raise ModelError(message)
        if payload.get("use_pickle") is not False or not file.startswith(prefixes):
            message = (
                f"{name}: refused, {key[:80]!r} is stored as a pickle, and loading it runs code "
                "from the file; export the network with plain tensors"
            )
            raise UntrustedError(message)
        _check_size(payload, len(archive.read(f"{folder}{file}")), key, name)
    return json.dumps(table).encode()


def _check_size(payload: dict[str, object], stored: int, key: str, name: str) -> None:
    """Refuse a tensor for which torch would allocate more than the file holds."""
    meta = payload.get("tensor_meta")
    sizes = meta.get("sizes") if isinstance(meta, dict) else None
    empty = isinstance(sizes, list) and {"as_int": 0} in sizes
    if not isinstance(sizes, list) or (stored == 0 and not empty):
        message = f"{name}: damaged, no values for {key[:80]!r}; export the network again"
        raise ModelError(message)


def _plain_samples(content: bytes) -> bytes:
    """Return the sample inputs pickled anew, if they are plain tensors; else none.

    torch falls back to unrestricted unpickling where the restricted one fails.
    """
    if not content:
        return b""
    try:
        with quiet():
            samples = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            if not isinstance(samples, tuple):
                return b""
            buffer = io.BytesIO()
            torch.save(samples, buffer)
    except Exception:  # noqa: BLE001 - whatever it is, it is not needed
        return b""
    return buffer.getvalue()
