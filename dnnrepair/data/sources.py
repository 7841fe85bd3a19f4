"""Where streamed items come from: a dataset with indices, or a sequence read from its start."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Any, cast

from torch.utils.data import (
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    default_collate,
)

from dnnrepair.data.items import batch_of
from dnnrepair.data.repeatable import guarded, reproducible
from dnnrepair.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Numbered = Iterator[tuple[int, Any]]


def source_of(data: Any, name: str) -> Indexed | Stream:  # noqa: ANN401 - see Args
    """Return the source for a loader, dataset or iterable.

    Args:
        data: a Dataset, a DataLoader, or an iterable of batches.
        name: of the data, for errors.

    Raises:
        DataError: if it is none of these.
    """
    if isinstance(data, DataLoader):
        if data.batch_size is not None and type(data.sampler) in (SequentialSampler, RandomSampler):
            sampler, dataset = cast("Any", data.sampler), cast("Any", data.dataset)
            if not getattr(sampler, "replacement", False) and len(sampler) == len(dataset):
                return Indexed(data.dataset, data)
        return Stream(data, in_batches=True)
    if isinstance(data, IterableDataset):
        return Stream(DataLoader(data, batch_size=None), in_batches=False, sized=data)
    if hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        return Indexed(data, None)
    if hasattr(data, "__iter__"):
        return Stream(data, in_batches=True)
    message = f"{name} is {type(data).__name__}, no Dataset and no DataLoader"
    raise DataError(message)


class Indexed:
    """A dataset with indices; each rank loads its own batches only."""

    def __init__(self, dataset: Any, loader: DataLoader[Any] | None) -> None:  # noqa: ANN401
        """Hold a dataset, and the loader whose settings are used."""
        self._dataset = dataset
        self._settings: dict[str, Any] = {"collate_fn": default_collate}
        if loader is not None:
            names = ("collate_fn", "num_workers", "worker_init_fn", "timeout", "prefetch_factor")
            self._settings = {name: getattr(loader, name) for name in names}

    @property
    def size(self) -> int:
        """The number of samples."""
        return len(self._dataset)

    def peek(self, count: int) -> Any:  # noqa: ANN401 - whatever the dataset holds
        """Return the first samples, collated; None if there are none."""
        with guarded(0):
            items = [self._dataset[place] for place in range(min(count, self.size))]
            return self._settings["collate_fn"](items) if items else None

    def batches(self, size: int, rank: int, world: int) -> Numbered:
        """Yield the index of the first sample and the collated batch."""
        starts = range(rank * size, self.size, world * size)
        places = [range(start, min(start + size, self.size)) for start in starts]
        loader = reproducible(self._dataset, places, self._settings)
        return zip(starts, _guarded(loader, starts), strict=True)


class Stream:
    """A sequence that can only be read from its start; every rank reads all of it."""

    def __init__(self, data: Iterable[Any], *, in_batches: bool, sized: Any = None) -> None:  # noqa: ANN401
        """Hold an iterable of batches or of single samples, and what may know their number."""
        self._data = data
        self._in_batches = in_batches
        self._sized: Any = sized if sized is not None else getattr(data, "dataset", None)
        self._ahead: Iterator[Any] | None = None  # what peek() has begun to read

    @property
    def size(self) -> int | None:
        """The number of samples, None if unknown."""
        try:
            return len(self._sized)
        except (TypeError, NotImplementedError):
            return None

    def peek(self, count: int) -> Any:  # noqa: ANN401 - whatever the stream holds
        """Return the first samples, collated; they are read again."""
        items = self._items()
        read = list(islice(items, 1 if self._in_batches else count))
        self._ahead = chain(read, items)
        if not read:
            return None
        return read[0] if self._in_batches else default_collate(read)

    def batches(self, size: int, rank: int, world: int) -> Numbered:
        """Yield the index of the first sample and the collated batch."""
        items, start, turn = self._items(), 0, 0
        while read := list(islice(items, 1 if self._in_batches else size)):
            item = read[0] if self._in_batches else default_collate(read)
            if turn % world == rank:
                yield start, item
            start += len(batch_of(item, None, "stream")) if self._in_batches else len(read)
            turn += 1

    def _items(self) -> Iterator[Any]:
        if self._ahead is not None:
            ahead, self._ahead = self._ahead, None
            return ahead
        return _guarded(self._data)


def _guarded(data: Iterable[Any], seeds: Iterable[int] | None = None) -> Iterator[Any]:
    """Yield from ``data``, whose reading leaves the random state of the process as found."""
    numbers = iter(seeds) if seeds is not None else iter(int, 1)
    with guarded(0):
        items = iter(data)
    while True:
        with guarded(next(numbers, 0)):
            try:
                item = next(items)
            except StopIteration:
                return
            except Exception:
                getattr(items, "_shutdown_workers", list)()  # or they are waited for, 5 s each
                raise
        yield item
