"""Recorded activations beyond what memory is to hold, on disk."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import DnnRepairError

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.population.frame import Frame


@dataclass
class Store:
    """Keeps recorded activations in memory as long as they fit, then on disk.

    Attributes:
        limit: bytes to keep in memory.
        folder: where the others go, made when first needed; it vanishes with this object.
        held: bytes in memory.
        written: bytes on disk.
        count: of files so far.
    """

    limit: int
    cache_dir: Path | None
    folder: Path | None = None
    held: int = 0
    written: int = 0
    count: int = 0

    def clear(self) -> None:
        """Forget everything."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder, self.held, self.written = None, 0, 0

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
        self.count += 1
        try:
            path = self._made() / f"{self.count}.bin"
            path.write_bytes(flat.view(-1).view(torch.uint8).numpy().data)
        except OSError as error:
            where = self.folder or self.cache_dir or tempfile.gettempdir()
            message = (
                f"cannot keep activations on disk in {where}: {error.strerror}; "
                "free some space, or name another folder"
            )
            raise DnnRepairError(message) from error
        mapped = torch.from_file(str(path), shared=True, size=flat.numel(), dtype=flat.dtype)
        back = [order.index(d) for d in range(value.dim())]
        return mapped.view(flat.shape).permute(back)

    def _made(self) -> Path:
        """Return the folder, which vanishes with this object at the latest."""
        if self.folder is None:
            self.folder = Path(tempfile.mkdtemp(prefix="dnnrepair-", dir=self.cache_dir))
            weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        return self.folder
