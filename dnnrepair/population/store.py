"""Where recorded activations are kept: in memory, and on disk what is beyond its limit."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dnnrepair.errors import DnnRepairError
from dnnrepair.population.segments import FileSegment, Segment

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from dnnrepair.population.frame import Frame

S = TypeVar("S", bound=Segment)


@dataclass
class Store:
    """Keeps recorded activations in memory as long as they fit, then on disk.

    Attributes:
        limit: bytes to keep in memory.
        cache_dir: where the folder is made; None for the system's for temporary files.
        folder: where the others go, made when first needed; it vanishes with this object.
        held: bytes in memory.
        memory: of the CPU, taken so far.
        files: so far.
    """

    limit: int
    cache_dir: Path | None
    folder: Path | None = None
    held: int = 0
    memory: list[Segment] = field(default_factory=list)
    files: list[FileSegment] = field(default_factory=list)

    def clear(self) -> None:
        """Forget everything."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder, self.held, self.memory, self.files = None, 0, [], []

    def keep(self, frame: Frame) -> None:
        """Move a frame's tensors to where they are kept.

        Raises:
            DnnRepairError: if they cannot be written.
        """
        move, held = self.hold, self.held + frame.bytes
        if held > self.limit:
            move, held = self._written, self.held
        for key, value in frame.tensors().items():
            if value.numel():
                frame.kept[key] = move(value)
        self.held = held

    def hold(self, value: Tensor) -> Tensor:
        """Return a tensor as it is kept in memory."""
        if value.device.type != "cpu":
            return value  # where allocators keep small tensors and large ones apart
        size = value.nbytes
        return _with_room(self.memory, size, lambda: Segment.of(size)).append(value)

    def _written(self, value: Tensor) -> Tensor:
        try:
            return _with_room(self.files, value.nbytes, lambda: self._file(value)).append(
                value.cpu()
            )
        except OSError as error:
            where = self.folder or self.cache_dir or tempfile.gettempdir()
            message = (
                f"cannot keep activations on disk in {where}: {error.strerror}; "
                "free some space, or name another folder"
            )
            raise DnnRepairError(message) from error

    def _file(self, value: Tensor) -> FileSegment:
        path = self._made() / f"{len(self.files)}.bin"
        return FileSegment.at(path, value.nbytes)

    def _made(self) -> Path:
        """Return the folder, which vanishes with this object at the latest."""
        if self.folder is None:
            self.folder = Path(tempfile.mkdtemp(prefix="dnnrepair-", dir=self.cache_dir))
            weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        return self.folder


def _with_room(pieces: list[S], size: int, make: Callable[[], S]) -> S:
    """Return a piece that takes so many bytes: the last one, or one made now."""
    if not pieces or not pieces[-1].has_room(size):
        pieces.append(make())
    return pieces[-1]
