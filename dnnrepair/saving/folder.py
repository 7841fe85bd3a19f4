"""Hugging Face folders: copied with everything in them, other numbers in the files of weights."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from pathlib import Path, PurePath
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from dnnrepair.errors import ModelError
from dnnrepair.files import OutputError
from dnnrepair.loading.quiet import first_line
from dnnrepair.loading.sniff import Kind, sniff
from dnnrepair.saving.held import Held
from dnnrepair.saving.pickled import hold_pickled
from dnnrepair.saving.spliced import hold_safetensors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # alone, or beside it an .index.json


def hold_folder(path: Path) -> Held:
    """Return a Hugging Face folder with one file of weights or several.

    Raises:
        ModelError: it holds no weights, or they are damaged.
    """
    files = {file: _hold(path / file) for file in _files(path)}
    tensors = {name: value for held in files.values() for name, value in held.tensors.items()}
    return Held(
        name=str(path),
        form="Hugging Face",
        tensors=tensors,
        write=lambda target: _write(path, files, target),
        is_folder=True,
    )


def check_folder(target: Path, source: Path) -> None:
    """Make sure, before any work starts, that a folder can be written.

    Raises:
        OutputError: if there is something already, or it would be inside the source.
    """
    if source.resolve() in (target.resolve(), *target.resolve().parents):
        message = f"will not write {target}: it is, or is in, an input; name another folder"
        raise OutputError(message)
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        message = f"cannot write {target}: a folder is written, and it is none; name another"
        raise OutputError(message)
    if target.is_dir() and any(target.iterdir()):
        message = f"cannot write {target}: the folder is not empty; name a new one"
        raise OutputError(message)
    if not target.resolve().parent.is_dir():
        message = f"cannot write {target}: no such folder around it; name another"
        raise OutputError(message)


def _files(path: Path) -> list[str]:
    """Return the names of the files that transformers reads, in order."""
    for name in _WEIGHTS:
        index = path / f"{name}.index.json"
        if (path / name).is_file():
            return [name]
        if index.is_file():
            return _listed(index)
    message = f"{path}: no {' or '.join(_WEIGHTS)} in it, alone or with an index; patch the file"
    raise ModelError(message)


def _listed(index: Path) -> list[str]:
    try:
        found = set(json.loads(index.read_bytes())["weight_map"].values())
        inside = all(PurePath(name).name == name != ".." for name in found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        message = f"{index}: no index of files of weights; get it again"
        raise ModelError(message) from error
    if not found or not inside:
        message = f"{index}: refused, it names files outside of the folder, or none"
        raise ModelError(message)
    return sorted(found)


def _hold(file: Path) -> Held:
    kind = sniff(file)
    return hold_safetensors(file) if kind is Kind.SAFETENSORS else hold_pickled(file, kind)


def _write(source: Path, files: Mapping[str, Held], target: Path) -> None:
    check_folder(target, source)

    def left_out(folder: str, names: list[str]) -> set[str]:
        """Leave out what is written anew, and links to folders: they can lead round in circles."""
        linked = {n for n in names if (Path(folder, n).is_symlink() and Path(folder, n).is_dir())}
        return linked | (set(files) if Path(folder) == source else set())

    with _arriving(target) as fresh:
        shutil.copytree(source, fresh, ignore=left_out, ignore_dangling_symlinks=True)
        for name, held in files.items():
            held.write(fresh / name)


@contextmanager
def _arriving(target: Path) -> Iterator[Path]:
    """Yield a path for a folder that becomes the target if all goes well, and else is gone."""
    around: Path | None = None
    try:
        around = Path(mkdtemp(dir=target.resolve().parent, prefix=".dnnrepair-"))
        yield around / "folder"
        (around / "folder").replace(target)
    except (OSError, shutil.Error, OutputError) as error:
        cause = error.__cause__ if isinstance(error, OutputError) else error
        reason = getattr(cause, "strerror", None) or first_line(error)
        message = f"cannot write {target}: {reason.lower()}; name another folder"
        raise OutputError(message) from error
    finally:
        if around is not None:
            shutil.rmtree(around, ignore_errors=True)
