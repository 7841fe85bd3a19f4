"""Finished runs, kept in a folder: a benchmark that was killed goes on where it stopped."""

from __future__ import annotations

import json
import os
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from dnnrepair.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Journal(Generic[T]):
    """Results by key, a file each; those of other code or another torch are not found.

    Attributes:
        folder: that keeps them, None for nothing.
    """

    def __init__(self, folder: Path | None, kind: type[T]) -> None:
        """Keep results of a ``kind`` of dataclass in ``folder``, which is made when needed."""
        from pydantic import TypeAdapter

        self.folder = folder
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)
        self._kind = kind.__name__

    def known(self, key: tuple[Any, ...]) -> T | None:
        """Return the result of an earlier run; None if there is none that can be read."""
        path = self._path(key)
        if path is None or not path.is_file():
            return None
        try:
            return self._adapter.validate_python(json.loads(path.read_bytes()))
        except ValueError:  # damaged: as if it had never been
            return None

    def keep(self, key: tuple[Any, ...], result: T) -> None:
        """Write a result, whole or not at all.

        Raises:
            OutputError: if it cannot be written.
        """
        path = self._path(key)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps(self._adapter.dump_python(result, mode="json")))

    def get(self, key: tuple[Any, ...], make: Callable[[], T]) -> T:
        """Return the result of an earlier run, else make it and keep it."""
        found = self.known(key)
        if found is None:
            found = make()
            self.keep(key, found)
        return found

    def _path(self, key: tuple[Any, ...]) -> Path | None:
        if self.folder is None:
            return None
        name = sha256(repr((code_digest(), self._kind, key)).encode()).hexdigest()[:24]
        return self.folder / f"{self._kind.lower()}-{name}.json"


@cache
def code_digest() -> str:
    """Return a digest of this package's sources and of torch's version: results depend on both."""
    import torch

    import dnnrepair

    found = sha256(torch.__version__.encode())
    root = Path(dnnrepair.__file__).parent
    paths = [
        Path(folder) / name
        for folder, _, names in os.walk(root, followlinks=True)
        for name in names
        if name.endswith(".py")
    ]
    for path in sorted(paths):
        found.update(str(path.relative_to(root)).encode())
        found.update(path.read_bytes())
    return found.hexdigest()
