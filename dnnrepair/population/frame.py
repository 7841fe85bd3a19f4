"""One block of inputs as the suffix sees it: what is the same for every candidate, computed once.

The first run over a block *records*: the unpatched network runs alongside, and whatever a rule asks
of it is kept. Later runs ask for the same things and find them; the activations are long gone. So
the prefix cache holds what the suffix needs and nothing else: for a patched linear layer a few
columns of its input, however wide the layer is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

T = TypeVar("T")


@dataclass
class Constants:
    """What depends on the network and the places alone: slices of weights, index tensors.

    Attributes:
        device: on which all is computed.
        channels_last: images are kept with channels last in memory.
        kept: what was made, by key.
    """

    device: torch.device
    channels_last: bool = False
    kept: dict[Hashable, Any] = field(default_factory=dict)

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what was made under this key, making it the first time."""
        if key not in self.kept:
            self.kept[key] = make()
        found: T = self.kept[key]
        return found

    def index(self, places: tuple[int, ...]) -> Tensor:
        """Return positions as an index tensor on the device."""
        return self.get(("index", places), lambda: torch.tensor(places, device=self.device))


@dataclass
class Frame:
    """One block of inputs.

    Attributes:
        kept: what rules asked for, by key.
        constants: shared by all blocks.
        live: while recording, the unpatched network's values by node name.
    """

    constants: Constants
    kept: dict[Hashable, Any] = field(default_factory=dict)
    live: Mapping[str, Any] | None = None

    @property
    def recording(self) -> bool:
        """Whether the unpatched network runs alongside."""
        return self.live is not None

    def get(self, key: Hashable, make: Callable[[Mapping[str, Any]], T]) -> T:
        """Return what was recorded under this key.

        Args:
            key: names it.
            make: computes it from the unpatched network's values, by node name.
        """
        if key not in self.kept:
            assert self.live is not None, f"{key} was not recorded"  # noqa: S101 - our invariant
            self.kept[key] = owned(make(self.live))
        found: T = self.kept[key]
        return found

    def recall(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what depends on the block alone, computed when first asked for."""
        if key not in self.kept:
            self.kept[key] = make()
        found: T = self.kept[key]
        return found

    def tensors(self) -> dict[Hashable, Tensor]:
        """Return the recorded tensors by key."""
        return {key: value for key, value in self.kept.items() if isinstance(value, Tensor)}

    def there(self) -> Frame:
        """Return a copy whose tensors are on the device."""
        moved = {key: value.to(self.constants.device) for key, value in self.tensors().items()}
        return replace(self, kept={**self.kept, **moved})

    @property
    def bytes(self) -> int:
        """Memory that the recorded tensors take."""
        return sum(t.numel() * t.element_size() for t in self.tensors().values())


def owned(value: T) -> T:
    """Return a tensor that does not keep a larger one alive; anything else as it is."""
    if isinstance(value, Tensor):
        own = value.numel() * value.element_size()
        if value.untyped_storage().nbytes() > own or not _is_dense(value):
            return value.contiguous().clone()  # type: ignore[return-value]
    return value


def _is_dense(value: Tensor) -> bool:
    images = value.dim() == len("NCHW")
    last = images and value.is_contiguous(memory_format=torch.channels_last)
    return last or value.is_contiguous()


@dataclass(frozen=True, slots=True)
class Chunk:
    """The candidates that are evaluated together.

    Attributes:
        values: of the patched weights, ``(p, k)``.
        change: values less those of the unpatched network, ``(p, k)``.
    """

    values: Tensor
    change: Tensor

    def __len__(self) -> int:
        """Return p."""
        return len(self.values)

    def column_last(self, columns: Tensor) -> Tensor:
        """Return the changes of some columns as ``(len(columns), p)``."""
        return self.change.t()[columns]
