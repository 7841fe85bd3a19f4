"""Where recorded activations are kept: in memory, and on disk what is beyond its limit."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dnnrepair.errors import DnnRepairError
from dnnrepair.population.segments import FileSegment, Segment

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.population.frame import Frame


@dataclass
class Store:
    """Keeps recorded activations in memory as long as they fit, then on disk.

    Attributes:
        limit: bytes to keep in memory.
        cache_dir: where the folder is made; None for the system's for temporary files.
        folder: where the others go, made when first needed; it vanishes with this object.
        held: bytes in memory.
        written: bytes on disk.
        memory: of the CPU, taken so far.
        files: so far.
    """

    limit: int
    cache_dir: Path | None
    folder: Path | None = None
    held: int = 0
    written: int = 0
    memory: list[Segment] = field(default_factory=list)
    files: list[FileSegment] = field(default_factory=list)

    def clear(self) -> None:
        """Forget everything."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder, self.held, self.written = None, 0, 0
        self.memory, self.files = [], []

    def keep(self, frame: Frame) -> None:
        """Move a frame's tensors to where they are kept.

        Raises:
            DnnRepairError: if they cannot be written.
        """
        size = frame.bytes
        fits = self.held + size <= self.limit
        move = self.hold if fits else self._written
        for key, value in frame.tensors().items():
            if value.numel():
                frame.kept[key] = move(value)
        self.held += size if fits else 0
        self.written += 0 if fits else size

    def hold(self, value: Tensor) -> Tensor:
        """Return a tensor as it is kept in memory."""
        if value.device.type != "cpu":
            return value  # where allocators keep small tensors and large ones apart
        if not self.memory or not self.memory[-1].has_room(value.nbytes):
            self.memory.append(Segment.of(value.nbytes))
        return self.memory[-1].append(value)

    def _written(self, value: Tensor) -> Tensor:
        try:
            if not self.files or not self.files[-1].has_room(value.nbytes):
                path = self._made() / f"{len(self.files)}.bin"
                self.files.append(FileSegment.at(path, value.nbytes))
            return self.files[-1].append(value.cpu())
        except OSError as error:
            where = self.folder or self.cache_dir or tempfile.gettempdir()
            message = (
                f"cannot keep activations on disk in {where}: {error.strerror}; "
                "free some space, or name another folder"
            )
            raise DnnRepairError(message) from error

    def _made(self) -> Path:
        """Return the folder, which vanishes with this object at the latest."""
        if self.folder is None:
            self.folder = Path(tempfile.mkdtemp(prefix="dnnrepair-", dir=self.cache_dir))
            weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        return self.folder
