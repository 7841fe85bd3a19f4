"""A network's file in memory, in which numbers can be changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.bits import identical
from dnnrepair.errors import PatchError
from dnnrepair.tensors import memory_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Held:
    """A network's file in memory, in which numbers can be changed.

    Attributes:
        name: as the user named it.
        form: what is written, such as "TorchScript".
        tensors: its numbers by name, wrappers' prefixes (``module.``) stripped; they share memory
            with what is written, and those that the file ties together share it with each other.
        write: writes everything, whole or not at all.
        is_folder: whether what is written is a folder.
    """

    name: str
    form: str
    tensors: Mapping[str, Tensor]
    write: Callable[[Path], None]
    is_folder: bool = False

    def views(self) -> Iterator[Mapping[str, Tensor]]:
        """Yield the ways to see the file as a network: with and without second names."""
        yield self.tensors
        first = {memory_of(value): name for name, value in [*self.tensors.items()][::-1]}
        if len(first) < len(self.tensors):
            kept = set(first.values())
            yield {name: value for name, value in self.tensors.items() if name in kept}

    @torch.no_grad()
    def change(self, name: str, before: Tensor, after: Tensor) -> None:
        """Change a tensor's numbers.

        Args:
            name: that the network has for it.
            before: the numbers as the network has them.
            after: what they shall be.

        Raises:
            PatchError: if the file has no such tensor, or cannot hold such numbers.
        """
        key = self._key(name, before)
        live = self.tensors[key]
        exact = after.to(live.dtype)
        if not identical(exact.to(after.dtype), after):
            message = (
                f"{self.name}: stores {key!r} as {live.dtype}, which cannot hold the patched "
                f"numbers ({after.dtype}) exactly; save the network in that type first"
            )
            raise PatchError(message)
        try:
            live.copy_(exact)
        except RuntimeError as error:
            message = f"{self.name}: {key!r} repeats numbers in memory; save it contiguous first"
            raise PatchError(message) from error

    def _key(self, name: str, before: Tensor) -> str:
        """Return the name in the file: a trainer or a library may have put a word before it."""
        found = [name] if name in self.tensors else self._near(name)
        if len(found) == 1 and identical(self.tensors[found[0]].to(before.dtype), before):
            return found[0]
        message = (
            f"{self.name}: does not hold {name!r} as the network has it; save the network's state "
            "dict with torch.save and patch that"
        )
        raise PatchError(message)

    def _near(self, name: str) -> list[str]:
        """Return the names in the file that are this one with one word more or less before it."""
        words = dict.fromkeys(key.partition(".")[0] for key in self.tensors)
        near = [name.partition(".")[2], *(f"{word}.{name}" for word in words)]
        return [key for key in near if key in self.tensors]
