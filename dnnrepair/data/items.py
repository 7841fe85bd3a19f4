"""What a loader yields, taken apart into inputs, targets and mask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dnnrepair.data.arrays import as_targets
from dnnrepair.data.files import TARGETS
from dnnrepair.data.samples import as_tensor
from dnnrepair.errors import DataError
from dnnrepair.probe import Batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Parts = tuple[tuple[Tensor, ...], Tensor | None, Tensor | None]

_MASK = "attention_mask"
_ORDER = ("input_ids", _MASK, "token_type_ids")  # as the forward of Hugging Face encoders


def batch_of(item: Any, transform: Callable[[Tensor], Tensor] | None, name: str) -> Batch:  # noqa: ANN401
    """Return a collated item as a batch.

    Args:
        item: ``(x, y)``, ``(x1, x2, ..., y)``, ``((x1, x2), y)``, ``x``, or a mapping with labels
            under a usual name.
        transform: of the first input; None for none.
        name: of the data, for errors.

    Raises:
        DataError: if it is none of these.
    """
    inputs, targets, mask = _parts(item)
    if not inputs or any(x.dim() == 0 for x in inputs):
        message = f"{name} yields {type(item).__name__} without a batch of inputs; yield (x, y)"
        raise DataError(message)
    if transform is not None:
        inputs = (transform(inputs[0]), *inputs[1:])
    return Batch(inputs=inputs, targets=None if targets is None else as_targets(targets), mask=mask)


def _parts(item: Any) -> Parts:  # noqa: ANN401 - whatever a loader yields
    if isinstance(item, Mapping):
        return _of_mapping(item)
    if not isinstance(item, tuple | list):
        return (as_tensor(item),), None, None
    if len(item) == 1:
        return _parts(item[0])
    *first, last = item
    if len(first) == 1 and isinstance(first[0], tuple | list | Mapping):
        inputs, own, mask = (
            _of_mapping(first[0])
            if isinstance(first[0], Mapping)
            else (tuple(map(as_tensor, first[0])), None, None)
        )
        return inputs, as_tensor(last) if own is None else own, mask
    return tuple(map(as_tensor, first)), as_tensor(last), None


def _of_mapping(item: Mapping[str, Any]) -> Parts:
    values = {k: as_tensor(v) for k, v in item.items() if isinstance(v, torch.Tensor | np.ndarray)}
    label = next((key for key in TARGETS if key in values), None)
    targets = values.pop(label) if label else None
    order = [key for key in _ORDER if key in values]
    order += [key for key in values if key not in _ORDER]
    mask = values[_MASK].bool() if _MASK in values else None
    return tuple(values[key] for key in order), targets, mask
