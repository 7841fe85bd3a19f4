"""Writing files whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from errno import EACCES, EISDIR
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING

from dnnrepair.errors import DnnRepairError

if TYPE_CHECKING:
    from collections.abc import Iterable

_READABLE = 0o666  # less the umask, as open() would have it


class OutputError(DnnRepairError):
    """A file cannot be written."""


def check_writable(path: Path, *, keep: Iterable[Path] = ()) -> None:
    """Make sure, before any work starts, that ``path`` can be written and is none of ``keep``.

    Raises:
        OutputError: if it cannot, or is.
    """
    for source in keep:
        with suppress(OSError):
            if source.resolve() == path.resolve() or source.samefile(path):
                message = f"will not write {path}: it is an input; name another file"
                raise OutputError(message)
    try:
        _try(path)
    except OSError as error:
        raise _refused(path, error) from error


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that no reader ever sees half of it, whatever stops the run.

    Raises:
        OutputError: if it cannot be written; what stood there before still does.
    """
    write_bytes_whole(path, text.encode("utf-8"))


def write_bytes_whole(path: Path, content: bytes) -> None:
    """Write a file of bytes so that no reader ever sees half of it, whatever stops the run.

    Raises:
        OutputError: if it cannot be written; what stood there before still does.
    """
    try:
        if _is_special(path):
            path.write_bytes(content)
        else:
            _replace(path.resolve(), content)
    except OSError as error:
        raise _refused(path, error) from error


def _try(path: Path) -> None:
    if path.is_dir():
        raise IsADirectoryError(EISDIR, "it is a folder")
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(EACCES, os.strerror(EACCES))
    if not _is_special(path):
        handle, name = mkstemp(dir=path.resolve().parent, prefix=".dnnrepair-")
        os.close(handle)
        Path(name).unlink()


def _replace(path: Path, content: bytes) -> None:
    mode = path.stat().st_mode & 0o777 if path.exists() else _READABLE & ~_umask()
    handle, name = mkstemp(dir=path.parent, prefix=".dnnrepair-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _is_special(path: Path) -> bool:
    """Whether it is a device or a pipe, which must be written to and not replaced."""
    return path.exists() and not path.is_file()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _refused(path: Path, error: OSError) -> OutputError:
    reason = (error.strerror or str(error)).lower()
    return OutputError(f"cannot write {path}: {reason}; name another file")
