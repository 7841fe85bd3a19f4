"""Recorded activations beyond what memory is to hold, on disk."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import DnnRepairError

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.population.frame import Frame


SEGMENT = 256 << 20  # bytes of a file: a system lets a process map some ten thousand files
_ALIGNED = 64  # bytes to which tensors start: the widest vectors of processors


@dataclass
class _Segment:
    """A file that takes up tensors one after another, seen as one tensor of bytes.

    Attributes:
        path: of the file.
        seen: its bytes.
        used: how many of them are taken.
    """

    path: Path
    seen: Tensor
    used: int = 0

    @classmethod
    def of(cls, path: Path, size: int) -> _Segment:
        """Make a file; what is not written yet takes no place on the disk."""
        with path.open("wb") as file:
            file.truncate(size)
        return cls(path, torch.from_file(str(path), shared=True, size=size, dtype=torch.uint8))

    def has_room(self, size: int) -> bool:
        """Tell whether so many bytes fit."""
        return self.used + size <= len(self.seen)

    def append(self, data: Tensor) -> Tensor:
        """Write bytes, and return them as they are seen in the file.

        Written, not copied into the map: a full disk is an error then, and ends the process there.
        """
        with self.path.open("r+b") as file:
            file.seek(self.used)
            file.write(data.numpy().data)
        begin, end = self.used, self.used + len(data)
        self.used = -(-end // _ALIGNED) * _ALIGNED
        return self.seen[begin:end]


@dataclass
class Store:
    """Keeps recorded activations in memory as long as they fit, then on disk.

    Attributes:
        limit: bytes to keep in memory.
        cache_dir: where the folder is made; None for the system's for temporary files.
        folder: where the others go, made when first needed; it vanishes with this object.
        held: bytes in memory.
        written: bytes on disk.
        segments: the files so far.
    """

    limit: int
    cache_dir: Path | None
    folder: Path | None = None
    held: int = 0
    written: int = 0
    segments: list[_Segment] = field(default_factory=list)

    def clear(self) -> None:
        """Forget everything."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder, self.held, self.written, self.segments = None, 0, 0, []

    def keep(self, frame: Frame) -> None:
        """Move a frame's tensors to disk if memory is spent.

        Raises:
            DnnRepairError: if they cannot be written.
        """
        size = frame.bytes
        if self.held + size <= self.limit:
            self.held += size
            return
        for key, value in frame.tensors().items():
            frame.kept[key] = self._mapped(value)
        self.written += size

    def _mapped(self, value: Tensor) -> Tensor:
        if value.numel() == 0:
            return value
        strides = value.stride()
        order = sorted(range(value.dim()), key=lambda d: -strides[d])
        flat = value.permute(order).contiguous().cpu()  # as it lies in memory
        data = flat.view(-1).view(torch.uint8)
        try:
            seen = self._segment(len(data)).append(data)
        except OSError as error:
            where = self.folder or self.cache_dir or tempfile.gettempdir()
            message = (
                f"cannot keep activations on disk in {where}: {error.strerror}; "
                "free some space, or name another folder"
            )
            raise DnnRepairError(message) from error
        back = [order.index(d) for d in range(value.dim())]
        return seen.view(flat.dtype).view(flat.shape).permute(back)

    def _segment(self, size: int) -> _Segment:
        """Return a file with room for so many bytes."""
        if not self.segments or not self.segments[-1].has_room(size):
            path = self._made() / f"{len(self.segments)}.bin"
            self.segments.append(_Segment.of(path, max(size, SEGMENT)))
        return self.segments[-1]

    def _made(self) -> Path:
        """Return the folder, which vanishes with this object at the latest."""
        if self.folder is None:
            self.folder = Path(tempfile.mkdtemp(prefix="dnnrepair-", dir=self.cache_dir))
            weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        return self.folder
