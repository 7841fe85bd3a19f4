"""Patch files: safetensors whose metadata hold one JSON text; reading one trusts nothing in it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save

from dnnrepair import __version__
from dnnrepair.errors import ModelError, PatchError
from dnnrepair.files import write_bytes_whole
from dnnrepair.loading.safe import read_tensors
from dnnrepair.patch import PATCHABLE, Edit, Patch
from dnnrepair.patches.packing import box_of, packed, unpacked
from dnnrepair.plain import plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

KEY = "dnnrepair.patch"  # of the metadata
FORMAT = 1
_DIGEST = re.compile(r"[0-9a-f]{16}", re.ASCII)
_MAX_NAME = 500  # characters of a tensor's or a method's name
_PARTS = ("index", "before", "after")
_PLACES = (torch.uint8, torch.int32, torch.int64)


def write_patch(path: Path, patch: Patch) -> None:
    """Write a patch file, whole or not at all; the same patch gives the same bytes.

    Raises:
        OutputError: if it cannot be written; what stood there before still does.
    """
    write_bytes_whole(path, to_bytes(patch))


def to_bytes(patch: Patch) -> bytes:
    """Return a patch as the content of its file.

    Raises:
        PatchError: if an edit's places are not in order.
    """
    boxes = [box_of(edit.index) for edit in patch.edits]
    tensors: dict[str, Tensor] = {}
    for number, (edit, box) in enumerate(zip(patch.edits, boxes, strict=True)):
        parts = (packed(edit.index, box), edit.before.contiguous(), edit.after.contiguous())
        tensors |= {f"{number}.{part}": value for part, value in zip(_PARTS, parts, strict=True)}
    described = {
        "format": FORMAT,
        "tool": __version__,
        "base": patch.base,
        "result": patch.result,
        "tensors": [
            {"name": edit.tensor, "box": box} for edit, box in zip(patch.edits, boxes, strict=True)
        ],
        "method": patch.method,
        "settings": plain(patch.settings),
        "seed": patch.seed,
        "verdict": plain(patch.verdict),
    }
    return save(tensors, {KEY: json.dumps(described, sort_keys=True, allow_nan=False)})


def read_patch(path: Path) -> Patch:
    """Return the patch in a file.

    Raises:
        PatchError: if the file cannot be read, is no patch, or is damaged.
    """
    tensors, metadata = _opened(path)
    if KEY not in metadata:
        message = f"{path}: a safetensors file, but no patch; give the file that was written as one"
        raise PatchError(message)
    try:
        return _patch(_described(metadata[KEY]), tensors)
    except (ValueError, RecursionError) as error:
        message = f"{path}: not a sound patch, it has {error}; get the file again from its source"
        raise PatchError(message) from error


def _opened(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.is_file():
        message = f"{path}: no such file; name the patch file"
        raise PatchError(message)
    try:
        with path.open("rb") as file:
            head = file.read(9)
        if head[8:] != b"{":
            message = f"{path}: no patch file, or cut short; give the file that was written as one"
            raise PatchError(message)
        return read_tensors(path)
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror}); make it readable"
        raise PatchError(message) from error
    except ModelError as error:
        raise PatchError(str(error)) from error


def _described(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        message = "a description that is no JSON"
        raise ValueError(message) from error
    version = found.get("format") if isinstance(found, dict) else None
    if type(version) is not int:
        message = "a description without a format number"
        raise ValueError(message)
    if version != FORMAT:
        message = f"format {version}, where this dnnrepair reads {FORMAT}"
        raise ValueError(message)
    return dict(found)


def _patch(described: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Patch:
    entries = _field(described, "tensors", list)
    if set(tensors) != {f"{n}.{part}" for n in range(len(entries)) for part in _PARTS}:
        message = f"{len(tensors)} blocks of values that are not those of {len(entries)} tensors"
        raise ValueError(message)
    edits = tuple(
        _edit(entry, *(tensors[f"{number}.{part}"].clone() for part in _PARTS))
        for number, entry in enumerate(entries)
    )
    if len({edit.tensor for edit in edits}) != len(edits):
        message = "one tensor twice"
        raise ValueError(message)
    seed = _field(described, "seed", int)
    return Patch(
        base=_digest(described, "base"),
        result=_digest(described, "result"),
        edits=edits,
        method=_name(described, "method"),
        settings=_field(described, "settings", dict),
        seed=seed,
        verdict=_field(described, "verdict", dict),
    )


def _edit(entry: object, stored: Tensor, before: Tensor, after: Tensor) -> Edit:
    if not isinstance(entry, dict):
        message = "a tensor that is not described"
        raise ValueError(message)  # noqa: TRY004 - all that is wrong with a file is one kind
    name, box = _name(entry, "name"), _field(entry, "box", list)
    if not all(type(side) is int for side in box):
        message = f"a box of {name!r} that is no list of whole numbers"
        raise ValueError(message)
    if before.dtype != after.dtype or before.dtype not in PATCHABLE or before.ndim != 1:
        message = f"values of {name!r} of shape {tuple(before.shape)} and type {before.dtype}"
        raise ValueError(message)
    if after.shape != before.shape or stored.ndim != 1 or stored.dtype not in _PLACES:
        message = f"values of {name!r} that do not match their places"
        raise ValueError(message)
    if after.isnan().any():
        message = f"NaN among the new values of {name!r}"
        raise ValueError(message)
    return Edit(name, unpacked(stored, box, len(before)), before, after)


def _field(described: Mapping[str, Any], key: str, kind: type) -> Any:  # noqa: ANN401 - any JSON
    value = described.get(key)
    if type(value) is not kind:
        message = f"no {key!r}, or one that is no {kind.__name__}"
        raise ValueError(message)
    return value


def _name(described: Mapping[str, Any], key: str) -> str:
    name = str(_field(described, key, str))
    if not name.isprintable() or len(name) > _MAX_NAME:
        message = f"control characters or no end in the name {name[:80]!r}"
        raise ValueError(message)
    return name


def _digest(described: Mapping[str, Any], key: str) -> str:
    found = str(_field(described, key, str))
    if not _DIGEST.fullmatch(found):
        message = f"no digest as its {key!r}"
        raise ValueError(message)
    return found
