"""Data that stream: a Dataset or DataLoader, possibly larger than memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate

from dnnrepair.data.arrays import as_targets
from dnnrepair.data.checks import check_batch
from dnnrepair.data.samples import as_tensor
from dnnrepair.errors import DataError
from dnnrepair.probe import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator

_LABELS = ("labels", "label", "targets", "target", "y")
_MASKS = ("attention_mask", "mask")


class LoaderSamples:
    """Samples of a Dataset or DataLoader, read once per pass and never kept.

    Items are ``(x, y)``, ``(x1, x2, ..., y)``, ``x``, or a dict such as Hugging Face uses
    (``input_ids``, ``attention_mask``, ``labels``).
    """

    def __init__(
        self,
        data: Any,  # noqa: ANN401 - Dataset, DataLoader or any sized collection of items
        name: str = "",
        *,
        transform: Any = None,  # noqa: ANN401 - of the first input's batches
        notes: tuple[str, ...] = (),
    ) -> None:
        """Hold a Dataset or DataLoader.

        Raises:
            DataError: if it is empty.
        """
        self._data = data
        self.name = name or type(data).__name__
        self.notes = notes
        self._transform = transform
        self._example: Batch | None = None
        if self.size == 0:
            message = f"{self.name} holds no samples"
            raise DataError(message)

    @property
    def size(self) -> int | None:
        """The number of samples, None if the stream does not tell."""
        inner: Any = self._data.dataset if isinstance(self._data, DataLoader) else self._data
        try:
            return len(inner)
        except (TypeError, NotImplementedError):
            return None

    @property
    def labeled(self) -> bool:
        """Whether items come with labels."""
        return self.example().targets is not None

    def example(self, count: int = 4) -> Batch:
        """Return the first samples; what was read for that is read again by :meth:`batches`."""
        if self._example is None or len(self._example) < count:
            first = next(self._collated(count), None)
            if first is None:
                message = f"{self.name} holds no samples"
                raise DataError(message)
            self._example = _first(first, count)
        return _first(self._example, count)

    def batches(self, size: int, *, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """Yield batches; a DataLoader's own batch size is kept."""
        start = 0
        for place, batch in enumerate(self._collated(size)):
            if place % world == rank:
                moved = Batch(
                    inputs=batch.inputs, targets=batch.targets, mask=batch.mask, start=start
                )
                yield check_batch(moved, self.name)
            start += len(batch)

    def _collated(self, size: int) -> Iterator[Batch]:
        loader = self._data
        if not isinstance(loader, DataLoader):
            if not isinstance(loader, Dataset | IterableDataset) and not hasattr(
                loader, "__getitem__"
            ):
                message = f"{self.name} is {type(loader).__name__}, no Dataset and no DataLoader"
                raise DataError(message)
            loader = DataLoader(loader, batch_size=size, collate_fn=default_collate)
        with torch.random.fork_rng(devices=[]):  # a loader draws its workers' seed
            iterator = iter(loader)
        for item in iterator:
            yield self._batch(item)

    def _batch(self, item: Any) -> Batch:  # noqa: ANN401 - whatever the loader yields
        inputs, targets, mask = _parts(item)
        if self._transform is not None:
            inputs = (self._transform(inputs[0]), *inputs[1:])
        return Batch(
            inputs=inputs, targets=None if targets is None else as_targets(targets), mask=mask
        )


def _parts(item: Any) -> tuple[tuple[Tensor, ...], Tensor | None, Tensor | None]:  # noqa: ANN401
    """Return inputs, targets and mask of a collated item."""
    if isinstance(item, Mapping):
        label = next((key for key in _LABELS if key in item), None)
        masks = [as_tensor(item[key]).bool() for key in _MASKS if key in item]
        inputs = tuple(as_tensor(item[key]) for key in item if key != label)
        return inputs, None if label is None else as_tensor(item[label]), next(iter(masks), None)
    if isinstance(item, tuple | list):
        *first, last = item
        if not first:
            return (as_tensor(last),), None, None
        return tuple(map(as_tensor, first)), as_tensor(last), None
    return (as_tensor(item),), None, None


def _first(batch: Batch, count: int) -> Batch:
    return Batch(
        inputs=tuple(x[:count] for x in batch.inputs),
        targets=None if batch.targets is None else batch.targets[:count],
        mask=None if batch.mask is None else batch.mask[:count],
    )
