"""Large pieces of memory or of a disk that take up tensors one after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

_ALIGNED = 64  # bytes to which tensors start: the widest vectors of processors


@dataclass
class Segment:
    """A piece of memory, seen as one tensor of bytes; what is not written yet takes no place.

    An allocator puts what is to stay into the holes that passing activations leave, which no
    activations fit into afterwards: memory would be full of holes many times as large as what is
    kept. So large a piece comes from the system, and by itself.

    Attributes:
        seen: its bytes.
        used: how many of them are taken.
    """

    seen: Tensor
    used: int = 0
    SIZE: ClassVar[int] = 64 << 20  # bytes; from 32 MiB on, no allocator takes them from its heap

    @classmethod
    def of(cls, size: int) -> Segment:
        """Make one that takes so many bytes."""
        return cls(torch.empty(max(size, cls.SIZE), dtype=torch.uint8))

    def has_room(self, size: int) -> bool:
        """Tell whether so many bytes fit."""
        return self.used + size <= len(self.seen)

    def append(self, value: Tensor) -> Tensor:
        """Take up a tensor on the CPU; return it as it lies here, with its strides if it is dense.

        Raises:
            OSError: if a disk does not take it.
        """
        value = _dense(value)
        data = value.as_strided((value.numel(),), (1,)).view(torch.uint8)
        begin, end = self.used, self.used + len(data)
        self._write(begin, data)
        self.used = -(-end // _ALIGNED) * _ALIGNED
        return self.seen[begin:end].view(value.dtype).as_strided(value.shape, value.stride())

    def _write(self, begin: int, data: Tensor) -> None:
        self.seen[begin : begin + len(data)] = data


@dataclass(kw_only=True)
class FileSegment(Segment):
    """A file, mapped into memory.

    Attributes:
        path: of the file.
    """

    path: Path
    SIZE: ClassVar[int] = 256 << 20  # bytes; a system lets a process map some ten thousand files

    @classmethod
    def at(cls, path: Path, size: int) -> FileSegment:
        """Make a file that takes so many bytes.

        Raises:
            OSError: if it cannot be made.
        """
        size = max(size, cls.SIZE)
        with path.open("wb") as file:
            file.truncate(size)
        seen = torch.from_file(str(path), shared=True, size=size, dtype=torch.uint8)
        return cls(seen, path=path)

    def _write(self, begin: int, data: Tensor) -> None:
        """Write; copied into the map, what a full disk does not take would end the process."""
        with self.path.open("r+b") as file:
            file.seek(begin)
            file.write(data.numpy().data)


def _dense(value: Tensor) -> Tensor:
    """Return a tensor without holes, its dimensions in the same order in memory."""
    strides = value.stride()
    order = sorted(range(value.dim()), key=lambda d: -strides[d])
    flat = value.permute(order)
    if flat.is_contiguous():
        return value
    return flat.contiguous().permute([order.index(d) for d in range(value.dim())])
