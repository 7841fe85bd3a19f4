"""Zip archives from strangers: examined by their table of contents before anything is unpacked."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import TYPE_CHECKING, NoReturn, Self

from dnnrepair.errors import ModelError, UntrustedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAX_ENTRIES = 100_000
MAX_RATIO = 1000  # DEFLATE itself cannot exceed 1032
MAX_INFLATED = (
    1 << 30
)  # bytes that compressed entries may unpack to; tensors are stored as they are
SMALL = 64 << 20  # bytes below which the ratio does not matter
_CHUNK = 1 << 20
_HEADER, _FIELD = 30, 4  # bytes of a local header and of an extra field's, before their texts
_ALIGNED = 64  # bytes
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, ValueError)


def _padding(start: int) -> bytes:
    """Return an extra field (torch's own kind, "FB") after which content is aligned."""
    length = -(start + _FIELD) % _ALIGNED
    return b"FB" + length.to_bytes(2, "little") + b"Z" * length


class Archive:
    """A zip file whose table of contents is sound: bounded, no paths out of it, no name twice.

    Raises:
        ModelError: if it is damaged.
        UntrustedError: if it was made to harm whoever unpacks it.
    """

    def __init__(self, path: Path) -> None:
        """Open and examine the table of contents; nothing is unpacked."""
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (*_BROKEN, RuntimeError, KeyError, IndexError) as error:
            raise ModelError(self._damaged()) from error
        try:
            self._examine(path.stat().st_size)
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        """Return the archive itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the file."""
        self._zip.close()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all entries."""
        return tuple(self._zip.namelist())

    @property
    def root(self) -> str:
        """The folder that holds everything, as torch writes it, with its slash.

        Raises:
            ModelError: if there is none.
        """
        roots = {name.partition("/")[0] for name in self.names}
        if len(roots) != 1 or not all("/" in name for name in self.names):
            message = f"{self._path}: not laid out as torch does (one folder that holds all)"
            raise ModelError(message)
        return f"{roots.pop()}/"

    def verify(self) -> None:
        """Read everything once, comparing checksums, so that no parser sees a damaged entry."""
        for name in self.names:
            try:
                with self._zip.open(name) as entry:
                    while entry.read(_CHUNK):
                        pass
            except (*_BROKEN, RuntimeError) as error:
                raise ModelError(self._damaged(name)) from error

    def size(self, name: str) -> int:
        """Return how many bytes an entry unpacks to."""
        return self._zip.getinfo(name).file_size

    def read(self, name: str) -> bytes:
        """Return an entry, checksum compared."""
        try:
            return self._zip.read(name)
        except KeyError as error:
            message = f"{self._path}: the archive lacks {name!r}"
            raise ModelError(message) from error
        except (*_BROKEN, RuntimeError) as error:
            raise ModelError(self._damaged(name)) from error

    def rebuilt(self, replaced: Mapping[str, bytes | None]) -> io.BytesIO:
        """Return an equal archive in memory: what a parser reads is then what was examined.

        Two readers can disagree about a crafted zip; of a rebuilt one there is only one reading.
        Values start at multiples of 64 bytes, as torch writes them.

        Args:
            replaced: other contents by name; None leaves the entry out.
        """
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as target:
            for entry in self._zip.infolist():
                name = entry.filename
                content = replaced[name] if name in replaced else self.read(name)
                if content is not None:
                    fresh = zipfile.ZipInfo(name)
                    fresh.extra = _padding(buffer.tell() + _HEADER + len(name.encode()))
                    target.writestr(fresh, content, entry.compress_type)
        buffer.seek(0)
        return buffer

    def _examine(self, size: int) -> None:
        entries = self._zip.infolist()
        names = [entry.filename for entry in entries]
        for entry in entries:
            self._examine_entry(entry)
        if len(entries) > MAX_ENTRIES:
            self._refuse(f"{len(entries)} entries")
        if len(set(names)) != len(names):
            self._refuse("two entries of one name")
        if sum(entry.compress_size for entry in entries) > size:
            self._refuse("entries that overlap")
        inflated = sum(e.file_size for e in entries if e.compress_type != zipfile.ZIP_STORED)
        packed = sum(e.compress_size for e in entries if e.compress_type != zipfile.ZIP_STORED)
        if inflated > MAX_INFLATED or inflated > max(SMALL, MAX_RATIO * packed):
            self._refuse(f"{packed:,} bytes that inflate to {inflated:,}")

    def _examine_entry(self, entry: zipfile.ZipInfo) -> None:
        name = entry.filename
        parts = name.replace("\\", "/").split("/")
        # zipfile cuts names at a NUL and keeps the original
        if ".." in parts or parts[0] == "" or ":" in parts[0] or "\0" in entry.orig_filename:
            self._refuse(f"the path {entry.orig_filename!r}")
        if not name.isprintable():
            self._refuse(f"control characters in the name {name!r}")
        if entry.flag_bits & 1 or entry.compress_type not in (
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
        ):
            self._refuse(f"an encrypted or oddly compressed entry {name!r}")
        if entry.compress_type == zipfile.ZIP_STORED and entry.compress_size != entry.file_size:
            raise ModelError(self._damaged(name))

    def _damaged(self, name: str = "") -> str:
        where = f" at {name!r}" if name else ""
        return (
            f"{self._path}: the archive is damaged or cut short{where}; "
            "download or save the file again"
        )

    def _refuse(self, what: str) -> NoReturn:
        message = (
            f"{self._path}: refused, the archive contains {what}; no torch version writes that"
        )
        raise UntrustedError(message)
