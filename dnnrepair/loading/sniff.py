"""What a file is, told by its content: the name of an untrusted file proves nothing."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING

from dnnrepair.errors import ModelError
from dnnrepair.loading.archive import Archive

if TYPE_CHECKING:
    from pathlib import Path

_LEGACY_MAGIC = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # torch.serialization.MAGIC_NUMBER, pickled
_HEAD = 4096  # bytes that tell all kinds apart


class Kind(Enum):
    """What a model file can be."""

    STATE = "torch file"  # a zip with data.pkl: state dict, checkpoint or pickled module
    LEGACY = "torch file of before version 1.6"
    PICKLE = "pickle"
    SAFETENSORS = "safetensors"
    SCRIPT = "TorchScript"
    EXPORTED = "pt2"


# What else people pass, by how it begins, and what they can do.
_STRANGERS: tuple[tuple[bytes, str], ...] = (
    (b"GGUF", "a GGUF file, which holds quantized weights; give the original safetensors"),
    (b"\x89HDF", "an HDF5 file (Keras); convert the network to torch first"),
    (b"\x08\x00TFL3", "a TensorFlow Lite file; give the torch network it was made from"),
    (b"\x1f\x8b", "a gzip file; unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it first"),
    (b"\xfd7zXZ", "an xz file; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd file; unpack it first"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself; run `git lfs pull`"),
    (b"\x93NUMPY", "a numpy array; give it as --data"),
    (b"\x7fELF", "a program or shared library"),
    (b"%PDF", "a PDF file"),
    (b"\x89PNG", "an image; give it as --data"),
    (b"PAR1", "a Parquet table; give it as --data"),
)


def sniff(path: Path) -> Kind:
    """Return what the file is.

    Raises:
        ModelError: it cannot be read or is nothing that holds a network; the message names it.
    """
    head, size = _read(path)
    if head.startswith(b"PK\x03\x04"):
        return _sniff_zip(path)
    if _is_safetensors(head, size):  # before pickles: a header of 128 bytes begins as they do
        return Kind.SAFETENSORS
    if head.startswith(b"\x80"):
        return Kind.LEGACY if head[2:].startswith(_LEGACY_MAGIC) else Kind.PICKLE
    message = f"{path}: this is {_describe(head, path)}"
    raise ModelError(message)


def _read(path: Path) -> tuple[bytes, int]:
    if not path.exists():
        message = f"{path}: no such file"
        raise ModelError(message)
    if not path.is_file():
        message = f"{path}: not a file that can hold a network"
        raise ModelError(message)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror})"
        raise ModelError(message) from error
    if not head:
        message = f"{path}: the file is empty; was the download or the save interrupted?"
        raise ModelError(message)
    return head, size


def _sniff_zip(path: Path) -> Kind:
    with Archive(path) as archive:
        names = archive.names
        bare = {name.partition("/")[2] for name in names}
        if "archive_format" in bare or "serialized_exported_program.json" in {*names, *bare}:
            return Kind.EXPORTED
        if "constants.pkl" in bare and "data.pkl" in bare:
            return Kind.SCRIPT
        if "data.pkl" in bare:
            return Kind.STATE
    message = f"{path}: this is {_describe_zip(names)}"
    raise ModelError(message)


def _describe_zip(names: tuple[str, ...]) -> str:
    if names and all(name.endswith(".npy") for name in names):
        return "an npz file of arrays; give it as --data"
    if "model.weights.h5" in names:
        return "a Keras file; convert the network to torch first"
    return "a zip archive without a torch network in it"


def _is_safetensors(head: bytes, size: int) -> bool:
    length = int.from_bytes(head[:8], "little")
    return head[8:9] == b"{" and length <= size - 8


def _describe(head: bytes, path: Path) -> str:
    for magic, what in _STRANGERS:
        if magic in head[:32]:
            return what
    if head[257:262] == b"ustar" or (path.suffix == ".tar" and not _is_text(head)):
        return "a tar archive (torch before 0.4 wrote such files); unpack or re-save it first"
    if path.suffix == ".onnx" or (head[:1] == b"\x08" and b"onnx" in head[:64].lower()):
        return "an ONNX file, which is not supported yet; give the torch network it was made from"
    return _describe_text(head) if _is_text(head) else "no format that holds a torch network"


def _describe_text(head: bytes) -> str:
    start = head.lstrip().lower()
    if re.match(rb"<!doctype html|<html", start):
        return "an HTML page; a download that ended at a login or error page?"
    if start.startswith((b"{", b"[")):
        return "a JSON text, not a network"
    return "a text file, not a network"


def _is_text(head: bytes) -> bool:
    controls = sum(byte < 9 or 13 < byte < 32 for byte in head)  # noqa: PLR2004 - ASCII
    try:
        head[: len(head) - 3].decode()  # the last character may be cut
    except UnicodeDecodeError:
        return False
    return controls == 0
