"""What all data look like to the rest of the program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from dnnrepair.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from dnnrepair.probe import Batch


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """How to read data and what to do to them first.

    Attributes:
        label: column of a table, or array of a file, that holds the labels.
        features: columns of a table that are inputs, all others by default; or arrays of a file.
        scale: factor for the inputs, such as "1/255"; a plain number above 1 divides.
        mean: subtracted per channel after scaling.
        std: divided by per channel after that.
        layout: of images: "auto", "NCHW" or "NHWC".
    """

    label: str | None = None
    features: tuple[str, ...] = ()
    scale: float | str | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    layout: str = "auto"


class Samples(Protocol):
    """Inputs and labels, in batches.

    Attributes:
        name: as the user named them.
        labeled: whether batches carry targets.
        size: number of samples, None if unknown.
        notes: what was done to them, a sentence each.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def labeled(self) -> bool: ...  # noqa: D102

    @property
    def size(self) -> int | None: ...  # noqa: D102

    @property
    def notes(self) -> tuple[str, ...]: ...  # noqa: D102

    def batches(self, size: int, *, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """Yield batches of ``size`` on the CPU; rank r of w takes batches r, r + w, and so on.

        Raises:
            DataError: where the data cannot be used.
        """
        ...

    def example(self, count: int = 4) -> Batch:
        """Return the first ``count`` samples or fewer; reading still begins at the start."""
        ...


def samples_of(data: Any, name: str = "data") -> Samples:  # noqa: ANN401 - see Args
    """Return anything that holds samples as :class:`Samples`.

    Args:
        data: Samples, a ``Dataset``, a ``DataLoader``, ``(x, y)`` or ``x`` as tensors or
            arrays, or an iterable of batches.
        name: under which to show it.

    Raises:
        DataError: if it is none of these.
    """
    from torch.utils.data import DataLoader, Dataset

    from dnnrepair.data.arrays import ArraySamples
    from dnnrepair.data.streams import LoaderSamples

    if hasattr(data, "batches") and hasattr(data, "example"):
        known: Samples = data
        return known
    if isinstance(data, Dataset | DataLoader):
        return LoaderSamples(data, name)
    if isinstance(data, torch.Tensor | np.ndarray):
        return ArraySamples((as_tensor(data),), None, name)
    if isinstance(data, tuple | list) and len(data) > 1:
        *inputs, targets = data
        if len(inputs) == 1 and isinstance(inputs[0], tuple):
            inputs = list(inputs[0])
        return ArraySamples(tuple(map(as_tensor, inputs)), as_tensor(targets), name)
    if hasattr(data, "__iter__") and not hasattr(data, "__getitem__"):
        return LoaderSamples(data, name)
    message = f"{name} is {type(data).__name__}; give arrays, a Dataset or a DataLoader"
    raise DataError(message)


def as_tensor(values: Any) -> Tensor:  # noqa: ANN401 - whatever converts
    """Return values as a tensor that shares memory where it can.

    Raises:
        DataError: if they are no numbers.
    """
    if isinstance(values, torch.Tensor):
        return values.detach()
    try:
        array = np.asanyarray(values)
    except (ValueError, TypeError) as error:
        message = f"the data hold {type(values).__name__} of unequal parts; give arrays"
        raise DataError(message) from error
    if array.dtype.kind not in "biuf" or array.dtype.hasobject:
        message = f"the data hold {_kind(array)}, not numbers; convert them first"
        raise DataError(message)
    if array.dtype.kind == "u" and array.itemsize > 1:
        array = array.astype(np.int64)
    if array.dtype == np.longdouble or (array.dtype == np.float64 and not _mapped(array)):
        array = array.astype(np.float32)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _mapped(array: np.ndarray[Any, Any]) -> bool:
    """Tell whether the numbers lie in a file; such are converted a batch at a time."""
    return isinstance(array, np.memmap)


def _kind(array: np.ndarray[Any, Any]) -> str:
    names = {"U": "text", "S": "text", "O": "objects", "c": "complex numbers", "M": "dates"}
    return names.get(array.dtype.kind, f"{array.dtype} values")
