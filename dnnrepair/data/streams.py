"""Data that stream: a Dataset or DataLoader, possibly larger than memory."""

from __future__ import annotations

from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dnnrepair.data.checks import check_batch
from dnnrepair.data.items import batch_of
from dnnrepair.data.sources import source_of
from dnnrepair.errors import DataError, DnnRepairError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from dnnrepair.probe import Batch


class LoaderSamples:
    """Samples of a Dataset or DataLoader, read once per pass and never kept.

    A Dataset with indices is read in their order, whatever the loader's sampler shuffles; random
    augmentations are the same in every pass. Items: see :func:`dnnrepair.data.items.batch_of`.
    """

    def __init__(
        self,
        data: Any,  # noqa: ANN401 - Dataset, DataLoader or an iterable of batches
        name: str = "",
        *,
        transform: Callable[[Tensor], Tensor] | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        """Hold a Dataset or DataLoader.

        Raises:
            DataError: if it is empty, or no such thing.
        """
        self.name = name or type(data).__name__
        self.notes = notes
        self._transform = transform
        self._source = source_of(data, self.name)
        self._example: Batch | None = None
        if self.size == 0:
            raise DataError(_empty(self.name))

    @property
    def size(self) -> int | None:
        """The number of samples, None if the stream does not tell."""
        return self._source.size

    @property
    def labeled(self) -> bool:
        """Whether items come with labels."""
        return self.example().targets is not None

    def example(self, count: int = 4) -> Batch:
        """Return the first samples; :meth:`batches` still begins with them."""
        if self._example is None or len(self._example) < count:
            with self._named():
                first = self._source.peek(count)
                if first is None:
                    raise DataError(_empty(self.name))
                self._example = check_batch(self._batch(first), self.name)
        return _first(self._example, count)

    def batches(self, size: int, *, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """Yield batches; those of a stream that comes in batches keep their size."""
        with self._named():
            for start, item in self._source.batches(size, rank, world):
                yield check_batch(replace(self._batch(item), start=start), self.name)

    def transformed(
        self, transform: Callable[[Tensor], Tensor], notes: tuple[str, ...]
    ) -> LoaderSamples:
        """Return the same samples, transformed; ``notes`` tell how."""
        changed = copy(self)
        changed.notes = (*self.notes, *notes)
        changed._transform, changed._example = transform, None  # noqa: SLF001 - its own kind
        return changed

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Turn whatever the user's code raises into one line that names the data."""
        try:
            yield
        except DnnRepairError as error:
            if "\n" not in str(error):
                raise
            raise DataError(_last_line(error).partition("Error: ")[2]) from error  # in a worker
        except Exception as error:
            message = f"{self.name} raised {type(error).__name__}: {_last_line(error)}"
            raise DataError(message) from error

    def _batch(self, item: Any) -> Batch:  # noqa: ANN401 - whatever the loader yields
        return batch_of(item, self._transform, self.name)


def _first(batch: Batch, count: int) -> Batch:
    return replace(
        batch,
        inputs=tuple(x[:count] for x in batch.inputs),
        targets=None if batch.targets is None else batch.targets[:count],
        mask=None if batch.mask is None else batch.mask[:count],
    )


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    in_worker = len(lines) > 1 and "Traceback" in str(error)
    return (lines[-1] if in_worker else lines[0] if lines else "")[:300]


def _empty(name: str) -> str:
    return f"{name} holds no samples"
